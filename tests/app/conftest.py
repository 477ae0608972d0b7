import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app import container
from app.engines import load_engine
from app.engines.base import Engine
from app.http.app import create_app
from app.runtime.batcher import Batcher
from app.settings import Settings
from app.telemetry import logs
from bundle.rows import Row
from bundle.store import Bundle, Store
from tests.conftest import SECONDS, serve_app


class Log:
    """What is logged, line by line, whichever thread logs it."""

    def __init__(self) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        self.text = ""

    def write(self, text: str) -> None:
        self._lines.put(text)

    def flush(self) -> None:
        """Do nothing, as nothing is buffered."""

    def wait_for(self, **fields: object) -> dict[str, Any]:
        """Return the next line that has these fields."""
        while True:
            text = self._lines.get(timeout=SECONDS)
            self.text += text
            line: dict[str, Any] = json.loads(text)
            if fields.items() <= line.items():
                return line


def connect(client: httpx.Client) -> socket.socket:
    """Return a new connection to the server of a client."""
    port = client.base_url.port
    assert port is not None
    return socket.create_connection((client.base_url.host, port), timeout=SECONDS)


class BlockedEngine:
    """Answers 1 for every row once it is let through, unless it is to fail."""

    batch_rows = 16

    def __init__(self) -> None:
        self.started: SimpleQueue[int] = SimpleQueue()  # rows of each batch
        self.let_through = threading.Event()
        self.is_failing = False

    def count_steps(self, row: Row) -> int:
        return len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        self.started.put(len(rows))
        if self.is_failing:
            raise RuntimeError("no answer")
        assert self.let_through.wait(SECONDS)
        return np.ones((len(rows), 1), np.float32)


@dataclass
class Blocked:
    """A service whose engine is blocked, and where four texts may wait."""

    client: httpx.Client
    engine: BlockedEngine
    batcher: Batcher

    def ask(self, texts: int = 1, **options: Any) -> httpx.Response:
        return self.client.post("/sentiment/batch", json={"texts": ["good"] * texts}, **options)

    @contextmanager
    def full(self, refused: int = 0) -> Iterator[None]:
        """Fill the queue of the default model while the block runs; what was in it is answered afterwards.

        So many requests that have no place are sent and refused before.
        """
        with ThreadPoolExecutor() as threads:
            running = threads.submit(self.ask)
            self.engine.started.get(timeout=SECONDS)
            waiting = threads.submit(self.ask, 4)
            self.wait_for_queue(4)
            assert [self.ask().status_code for _ in range(refused)] == [503] * refused
            yield
            self.engine.let_through.set()
            assert [answered.result().status_code for answered in (running, waiting)] == [200, 200]

    def wait_for_queue(self, texts: int) -> None:
        """Wait until so many texts are in the queue."""
        end = time.monotonic() + SECONDS
        while self.batcher.waiting != texts:
            assert time.monotonic() < end


@pytest.fixture
def models() -> list[str]:
    return ["sentiment"]


@pytest.fixture
def blocked(
    small_store: Store, tmp_path: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Blocked]:
    engine = BlockedEngine()

    def load(bundle: Bundle, settings: Settings) -> Engine:
        return engine if bundle.manifest.name == "sentiment" else load_engine(bundle, settings)

    monkeypatch.setattr("app.runtime.keeper.load_engine", load)
    for name in models:
        shutil.copytree(small_store.root / name, tmp_path / name)
    app = create_app(Settings(models=tmp_path, max_batch=4, max_queue=4, deadline_ms=1000 * SECONDS))
    with serve_app(app) as client:
        yield Blocked(client, engine, app.state.repository.find("sentiment").batcher)
        engine.let_through.set()


@pytest.fixture
def log() -> Iterator[Log]:
    """What the service logs during a test."""
    log = Log()
    with redirect_stderr(log):  # type: ignore[type-var]  # it is writable, which is all that logging needs
        logs.configure("INFO")
    yield log
    logs.configure("INFO")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files in which the kernel describes the memory of a container: 300 MiB, exceeded once."""
    (tmp_path / "limit").write_text("314572800\n")
    (tmp_path / "events").write_text("under_oom 0\noom_kill 1\n")
    files = ((tmp_path / "none", tmp_path / "none"), (tmp_path / "limit", tmp_path / "events"))
    monkeypatch.setattr(container, "MEMORY_FILES", files)
    return tmp_path
