"""The settings of the service: read once from the environment, then frozen."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError
from app.limits import count_processors

PREFIX = "LSTM_SERVE_"


class Settings(BaseSettings):
    """Every setting with its unit and default; the environment variable is `LSTM_SERVE_` and the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all of the machine's.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(
        default_factory=lambda: min(2, count_processors()),
        ge=1,
        description="Processes that answer, each with all models; by default two, or one on a single core.",
    )
    models: Path = Field(default=Path("models"), description="The folder of the bundles.")
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1, description="Bytes in the body of a request.")
    max_text_characters: int = Field(default=100_000, ge=1, description="Characters in one text or sequence.")
    max_batch: int = Field(default=128, ge=1, description="Texts or sequences in one batch request.")
    max_queue: int = Field(default=512, ge=1, description="Texts that may wait for one model in a process.")
    deadline_ms: int = Field(default=5000, ge=1, description="Milliseconds in which a request has to be answered.")
    engine: Literal["onnx", "tensorflow"] = Field(
        default="onnx", description="What runs networks; bundles without model.onnx are run by TensorFlow anyway."
    )
    precision: Literal["default", "float32"] = Field(
        default="default",
        description="Form of a network: the one its bundle names as default, or the one that answers as Keras does.",
    )
    engine_workers: int = Field(default=1, ge=1, description="Batches that a process runs in threads at a time.")
    engine_threads: int = Field(default=1, ge=1, description="Processor cores that one batch may use.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )

    @model_validator(mode="after")
    def _a_batch_fits_in_the_queue(self) -> Self:
        if self.max_queue < self.max_batch:
            raise ValueError(f"max_queue {self.max_queue} has no place for a batch of max_batch {self.max_batch}")
        return self


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable with the prefix is no setting, or a value is not one the setting can have.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError(f"{', '.join(unknown)} is no setting; there are: {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            "".join(f"{PREFIX}{str(name).upper()}={problem['input']}: " for name in problem["loc"]) + problem["msg"]
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from error
