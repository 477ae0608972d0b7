"""The settings of the service: read once from the environment and the command line, then frozen."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.container import count_processors, read_memory_limit
from app.errors import SettingsError
from bundle.errors import phrase
from bundle.task_names import TASK_NAMES

PREFIX = "LSTM_SERVE_"
# The address of a client that is connected to the Unix socket, where clients have none.
UNIX_CLIENT = "unix"
# With the models of this repository, a process takes half of it.
MEMORY_OF_A_PROCESS = 256 << 20

# Kubernetes sets these variables for every Service of a namespace. If the name of the Service begins with lstm-serve,
# they have the prefix of the settings.
# Source: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")
_KUBERNETES_VARIABLE = re.compile(
    rf"{PREFIX}(\w+_)?"
    r"(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=.*|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*"
    rf"|PORT(_\d+_(TCP|UDP|SCTP))?={_KUBERNETES_ADDRESS.pattern})"
)


def _count_workers() -> int:
    """Return how many processes there are by default: one per processor core, unless memory limits them."""
    memory = read_memory_limit() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(count_processors(), memory // MEMORY_OF_A_PROCESS))


def _split(value: object) -> object:
    """Return the names of a list with commas."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _read_defaults(value: object) -> object:
    """Return the models by task of a list such as `sentiment=my-reviews,next-letter=words`.

    Raises:
        ValueError: it is not such a list.
    """
    if not isinstance(value, str):
        return value
    pairs = [tuple(part.strip() for part in entry.split("=")) for entry in value.split(",") if entry.strip()]
    tasks = [pair[0] for pair in pairs]
    if any(len(pair) != 2 or not pair[1] for pair in pairs) or not {*tasks} <= {*TASK_NAMES}:
        raise ValueError(
            "Input should be TASK=MODEL, separated by commas, such as sentiment=my-reviews; tasks: "
            f"{', '.join(TASK_NAMES)}"
        )
    if len({*tasks}) < len(tasks):
        raise ValueError("Input should name one model for each task")
    return {pair[0]: pair[1] for pair in pairs}


def _find_keys(value: object) -> object:
    """Return the contents of a key file as they are, and anything else as its path."""
    return Path(value) if isinstance(value, str) and not value.startswith("{") else value


def _check_proxy(value: str) -> str:
    if value != UNIX_CLIENT:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise ValueError(
                f"Input should be addresses, networks such as 10.0.0.0/8, or {UNIX_CLIENT}, separated by commas"
            ) from error
    return value


class Settings(BaseSettings):
    """Every setting with its unit and default; the environment variable is `LSTM_SERVE_` and the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all of the machine's.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    socket: Path | None = Field(default=None, description="Unix socket to listen on, instead of host and port.")
    root_path: str = Field(default="", description="Path prefix that a proxy removes before it forwards a request.")
    trusted_proxies: Annotated[
        tuple[Annotated[str, AfterValidator(_check_proxy)], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=(),
        description="Addresses or networks of proxies, separated by commas, whose X-Forwarded-For has the client's "
        f"address for the log; {UNIX_CLIENT} means every client of the Unix socket.",
    )
    workers: int = Field(
        default_factory=_count_workers,
        ge=1,
        description="Processes that answer, each with all models; by default one per processor core, as long as there "
        "are 256 MiB of memory for each.",
    )
    models: Path = Field(default=Path("models"), description="Folder of the bundles.")
    policies: Path | None = Field(
        default=None,
        description="Folder of what operators want of the versions, POLICIES/NAME/policy.json; by default that of the "
        "bundles.",
    )
    ready_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        description="Models, separated by commas, that must be loaded before the service is ready; by default the "
        "default model of each task.",
    )
    default_models: Annotated[Mapping[str, str], NoDecode, BeforeValidator(_read_defaults)] = Field(
        default={},
        description="Models that answer requests without a model, as TASK=MODEL, separated by commas; by default the "
        "model with the name of the task, or else its only model.",
    )
    watch_ms: int = Field(
        default=200,
        ge=10,
        le=3_600_000,
        description="Milliseconds between two looks at the folder; a new version answers after about two of them.",
    )
    loaded_versions: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Newest versions of each model that are loaded, besides those with a label.",
    )
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1, description="Bytes in the body of a request.")
    max_text_characters: int = Field(default=100_000, ge=1, description="Characters in one text or sequence.")
    max_batch: int = Field(default=128, ge=1, description="Texts or sequences in one batch request.")
    max_queue: int = Field(default=512, ge=1, description="Texts that may wait for one model in a process.")
    max_explanation: int = Field(
        default=4096,
        ge=128,
        description="Texts with words left out that a model may judge for one explanation.",
    )
    deadline_ms: int = Field(
        default=5000, ge=1, le=3_600_000, description="Milliseconds in which a request must be answered."
    )
    keep_alive_s: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="Seconds that an idle connection stays open; behind a proxy, more than the proxy's own timeout.",
    )
    keys: Annotated[Path | str | None, BeforeValidator(_find_keys)] = Field(
        default=None,
        description="File of the API keys, or its contents, which begin with {; without keys, everybody may use the "
        "models and nobody change them.",
    )
    open_docs: bool = Field(
        default=False,
        description="Whether the page at /, /docs and /openapi.json need no key if there are keys.",
    )
    open_metrics: bool = Field(default=False, description="Whether /metrics needs no key if there are keys.")
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(),
        description="Origins, separated by commas, whose pages may use the service in a browser, or * for all; by "
        "default none.",
    )
    engine: Literal["onnx", "tensorflow"] = Field(
        default="onnx", description="Engine of the networks; a bundle without model.onnx always runs on TensorFlow."
    )
    precision: Literal["default", "float32"] = Field(
        default="default",
        description="Form of a network: the default that its bundle names, or float32, which answers as Keras does.",
    )
    engine_threads: int = Field(default=1, ge=1, le=1024, description="Processor cores that one batch may use.")
    traces: str = Field(
        default="",
        description="Address of an OpenTelemetry collector that gets traces by OTLP over HTTP; by default none does.",
    )
    traces_share: float = Field(
        default=1.0, ge=0, le=1, description="Share of the requests that are traced, unless their client decides it."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )

    @property
    def fills_cores(self) -> bool:
        """Whether each of several processes has only one core, so that the others answer while one computes."""
        return 1 < self.workers >= count_processors()

    @field_validator("port", mode="before")
    @classmethod
    def _replace_kubernetes_address(cls, value: object) -> object:
        """Return the default for an address that Kubernetes has set."""
        is_address = isinstance(value, str) and _KUBERNETES_ADDRESS.fullmatch(value)
        return cls.model_fields["port"].default if is_address else value

    @field_validator("host")
    @classmethod
    def _remove_brackets(cls, value: str) -> str:
        """Accept an IPv6 address in the form that it has in a URL."""
        return value[1:-1] if value.startswith("[") and value.endswith("]") else value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        if not re.fullmatch(r"(/[!\"$-.0->@-~]+)*", value):
            raise ValueError("Input should begin with a slash and not end with one, such as /models/v1")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not re.fullmatch(
                r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", origin
            ):
                raise ValueError("Input should be origins in lower case such as https://example.com, without a path")
        return value

    @field_validator("traces")
    @classmethod
    def _check_collector(cls, value: str) -> str:
        if not re.fullmatch(r"(https?://[^\s/?#]+(/[^\s?#]*)?)?", value):
            raise ValueError("Input should be the address of a collector such as http://localhost:4318")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _convert_to_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_queue(self) -> Self:
        if self.max_queue < self.max_batch:
            raise ValueError(f"max_queue {self.max_queue} has no place for a batch of max_batch {self.max_batch}")
        return self


def read_settings(options: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; an option of the command line overrides its variable.

    An empty option or variable means the default.

    Raises:
        SettingsError: a variable with the prefix is not a setting, or a setting cannot have its value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    others = (name for name in named if name not in known)
    if unknown := sorted(name for name in others if not _KUBERNETES_VARIABLE.fullmatch(f"{name}={named[name]}")):
        raise SettingsError(f"{', '.join(unknown)} is not a setting; there are: {', '.join(sorted(known))}")
    options = options or {}
    fields = Settings.model_fields
    values: dict[str, Any] = {
        name: value or fields[name].get_default(call_default_factory=True) for name, value in options.items()
    }
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            place = f"--{name.replace('_', '-')} " if name in options else f"{PREFIX}{name.upper()}="
            message = phrase(problem)
            problems.append(f"{place}{problem['input']}: {message}" if name else message)
        raise SettingsError("; ".join(problems)) from error
