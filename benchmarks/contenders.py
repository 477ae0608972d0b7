"""Who is measured: the project and its peers, how each is started, asked and understood."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks import environments
from benchmarks.servers import HOST, Server, find_free_port, serve
from bundle.store import Bundle

OURS = "lstm-serve"

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

    `arguments` follow its Python, `{port}` in them standing for the port; `ask` gives the JSON of a request for a
    text, `read` the probability in the JSON of its answer.
    """

    name: str
    arguments: tuple[str, ...]
    path: str
    ready_path: str
    ask: Callable[[str], Any]
    read: Callable[[Any], float]

    def find_python(self) -> Path:
        """Return the Python of its environment, which is made if need be; see `environments.provide`."""
        peer_lock = environments.PEERS / self.name / "requirements.txt"
        return environments.provide(self.name, environments.SERVE_LOCK if self.name == OURS else peer_lock)

    def command(self, port: int) -> list[str | Path]:
        """Return the command that starts it."""
        return [self.find_python(), *(argument.format(port=port) for argument in self.arguments)]

    def environment(self, bundle: Bundle, port: int) -> dict[str, str]:
        """Return the environment variables that it is started with."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_SERVE_")}
        return (
            inherited
            | _NO_MORE_THAN_THE_MODEL
            | {
                "PATH": f"{self.find_python().parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(environments.ROOT),
                "BENCHMARK_BUNDLE": str(bundle.folder.resolve()),
                "BENCHMARK_PORT": str(port),
                "LSTM_SERVE_PORT": str(port),
                "LSTM_SERVE_MODELS": str(environments.ROOT / "models"),
                "LSTM_SERVE_LOG_LEVEL": "WARNING",
                "MLSERVER_HTTP_PORT": str(port),
                "MLSERVER_GRPC_PORT": str(find_free_port()),
            }
        )

    @contextmanager
    def run(
        self,
        bundle: Bundle,
        ready_path: str | None = None,
        poll_seconds: float = 0.2,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Server]:
        """Run it while the block runs, with further environment variables, once it is ready; see `servers.serve`.

        Raises:
            ServerError: it dies or takes too long.
        """
        port = find_free_port()
        environment = self.environment(bundle, port) | {**variables}
        with serve(self.command(port), environment, port, ready_path or self.ready_path, poll_seconds) as server:
            yield server

    def write_bodies(self, path: Path, texts: Iterable[str]) -> Path:
        """Write the requests for texts, one JSON document a line, and return the path."""
        path.write_text("\n".join(json.dumps(self.ask(text)) for text in texts), encoding="utf-8")
        return path


def find(bundle_name: str) -> dict[str, Contender]:
    """Return every contender by name, the project first, to be asked for one bundle."""
    model = {} if bundle_name == "sentiment" else {"model": bundle_name}
    uvicorn = ("-m", "uvicorn", "--host", HOST, "--port", "{port}")
    quiet = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")
    contenders = (
        Contender(
            OURS,
            ("-m", "app"),
            "/sentiment",
            "/readyz",
            lambda text: {"text": text, **model},
            lambda answer: float(answer["probability_positive"]),
        ),
        Contender(
            "predict",
            (*uvicorn, *quiet, "benchmarks.peers.predict.server:app"),
            "/predict",
            "/openapi.json",
            _ask,
            _read,
        ),
        Contender(
            "tf_function",
            (*uvicorn, *quiet, "benchmarks.peers.tf_function.server:app"),
            "/predict",
            "/openapi.json",
            _ask,
            _read,
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
        Contender("litserve", ("-m", "benchmarks.peers.litserve.server"), "/predict", "/health", _ask, _read),
        Contender(
            "mlserver",
            ("-c", "from mlserver.cli import main; main()", "start", str(environments.PEERS / "mlserver")),
            "/v2/models/sentiment/infer",
            "/v2/models/sentiment/ready",
            _ask_v2,
            lambda answer: float(answer["outputs"][0]["data"][0]),
        ),
        Contender("ray_serve", ("-m", "benchmarks.peers.ray_serve.server"), "/", "/-/healthz", _ask, _read),
    )
    return {contender.name: contender for contender in contenders}


def _ask(text: str) -> dict[str, str]:
    return {"text": text}


def _read(answer: dict[str, float]) -> float:
    return answer["probability"]


def _ask_v2(text: str) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}
