"""The measured servers: the service, its last release and its peers; with their commands, requests and answers."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks import environments
from benchmarks.environments import PEERS, ROOT
from benchmarks.servers import HOST, Server, find_free_port, serve
from bundle.store import Bundle

OURS = "lstm-serve"
OURS_FLOAT32 = "lstm-serve-float32"
RELEASE = "release"
HANDLER = "onnx_handler"
PREDICT = "predict"
BATCHING_TENSORFLOW = ("mlserver", "bentoml", "ray_serve")
# The other servers are measured only on request, because their results are similar to these.
DEFAULT = (OURS, RELEASE, HANDLER, "litserve", PREDICT, "mlserver")

_LOCK = Path("requirements") / "serve.txt"
_ALL_CONNECTIONS = 256
_NO_MORE_THAN_THE_MODEL = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Contender:
    """A server of the same models.

    Attributes:
        name: its name.
        arguments: the arguments of its Python; `{port}` stands for the port.
        path: the path for requests.
        ready_path: answers 200 once the server is ready.
        ask: returns the JSON of a request for a text.
        read: returns the probability in the JSON of an answer.
        root: the checkout whose code it runs, and for the service also its models.
        installed_as: the name of its environment, if it differs from `name`.
        lock: the packages of its environment, for a server that is no peer.
        variables: further environment variables.
        most_connections: the largest number of connections to measure.
    """

    name: str
    arguments: tuple[str, ...]
    path: str
    ready_path: str
    ask: Callable[[str], Any]
    read: Callable[[Any], float]
    root: Path = ROOT
    installed_as: str = ""
    lock: Path = ROOT / _LOCK
    variables: Mapping[str, str] = field(default_factory=dict)
    most_connections: int = _ALL_CONNECTIONS

    def find_python(self) -> Path:
        """Return the Python of its environment, which is installed if necessary; see `environments.provide`."""
        name = self.installed_as or self.name
        lock = PEERS / name / "requirements.txt"
        return environments.provide(name, lock if lock.exists() else self.lock)

    def command(self, port: int) -> list[str | Path]:
        """Return the command that starts it."""
        return [self.find_python(), *(argument.format(port=port) for argument in self.arguments)]

    def environment(self, bundle: Bundle, port: int) -> dict[str, str]:
        """Return the environment variables for its start."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_SERVE_")}
        return (
            inherited
            | _NO_MORE_THAN_THE_MODEL
            | {
                "PATH": f"{self.find_python().parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(self.root),
                "BENCHMARK_BUNDLE": str(bundle.folder.resolve()),
                "BENCHMARK_PORT": str(port),
                "LSTM_SERVE_PORT": str(port),
                "LSTM_SERVE_MODELS": str(self.root / "models"),
                "LSTM_SERVE_LOG_LEVEL": "WARNING",
                "MLSERVER_HTTP_PORT": str(port),
                "MLSERVER_GRPC_PORT": str(find_free_port()),
            }
            | {**self.variables}
        )

    @contextmanager
    def run(
        self,
        bundle: Bundle,
        poll_seconds: float = 0.2,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Server]:
        """Run it while the block runs, which begins once it is ready; see `servers.serve`.

        Raises:
            ServerError: it dies or takes too long.
        """
        port = find_free_port()
        environment = self.environment(bundle, port) | {**variables}
        with serve(self.command(port), environment, port, self.ready_path, poll_seconds) as server:
            yield server

    def write_bodies(self, path: Path, texts: Iterable[str]) -> Path:
        """Write the requests for texts, one JSON document per line, and return the path."""
        path.write_text("\n".join(json.dumps(self.ask(text)) for text in texts), encoding="utf-8")
        return path


def find(bundle_name: str, release: Path | None = None) -> dict[str, Contender]:
    """Return every contender by name, the service first, with requests for one bundle.

    Args:
        bundle_name: the bundle.
        release: a checkout of an earlier release; without it, there is no such contender.
    """
    model = {} if bundle_name == "sentiment" else {"model": bundle_name}
    uvicorn = ("-m", "uvicorn", "--host", HOST, "--port", "{port}")
    quiet = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")

    def ours(name: str, **others: Any) -> Contender:
        return Contender(
            name,
            ("-m", "app"),
            "/sentiment",
            "/readyz",
            lambda text: {"text": text, **model},
            lambda answer: float(answer["probability_positive"]),
            **others,
        )

    def handler(name: str, *arguments: str, **others: Any) -> Contender:
        server = f"benchmarks.peers.{name}.server:app"
        return Contender(
            name, (*uvicorn, *quiet, *arguments, server), "/predict", "/openapi.json", _ask, _read, **others
        )

    contenders = [
        ours(OURS),
        ours(OURS_FLOAT32, installed_as=OURS, variables={"LSTM_SERVE_PRECISION": "float32"}),
        *([ours(RELEASE, root=release.resolve(), lock=release.resolve() / _LOCK)] if release else []),
        handler(HANDLER, "--workers", "2"),
        Contender("litserve", ("-m", "benchmarks.peers.litserve.server"), "/predict", "/health", _ask, _read),
        # It is too slow for 64 connections: for seconds it gives no answer, and it becomes idle only after a minute.
        handler(PREDICT, most_connections=8),
        handler("tf_function"),
        Contender(
            "mlserver",
            ("-c", "from mlserver.cli import main; main()", "start", str(PEERS / "mlserver")),
            "/v2/models/sentiment/infer",
            "/v2/models/sentiment/ready",
            _ask_v2,
            lambda answer: float(answer["outputs"][0]["data"][0]),
        ),
        Contender(
            "bentoml",
            (
                "-m",
                "bentoml",
                "serve",
                "benchmarks.peers.bentoml.server:Sentiment",
                "--host",
                HOST,
                "-p",
                "{port}",
                "-q",
            ),
            "/predict",
            "/readyz",
            lambda text: {"text": [text]},
            lambda answer: float(answer[0]),
        ),
        Contender("ray_serve", ("-m", "benchmarks.peers.ray_serve.server"), "/", "/-/healthz", _ask, _read),
    ]
    return {contender.name: contender for contender in contenders}


def _ask(text: str) -> dict[str, str]:
    return {"text": text}


def _read(answer: dict[str, float]) -> float:
    return answer["probability"]


def _ask_v2(text: str) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}
