import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.processes import container


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put back the signal handlers that a test changes."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Recorder(logging.Handler):
    """Keeps every message."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def count() -> Iterator[Callable[[str], int]]:
    """A function that returns how many messages of the service have a text in them."""
    log = logging.getLogger("app")
    recorder, level = Recorder(), log.level
    log.addHandler(recorder)
    log.setLevel(logging.INFO)
    yield lambda part: sum(part in message for message in recorder.messages)
    log.removeHandler(recorder)
    log.setLevel(level)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files in which the kernel describes the memory of a container: 300 MiB, exceeded once."""
    (tmp_path / "limit").write_text("314572800\n")
    (tmp_path / "events").write_text("under_oom 0\noom_kill 1\n")
    files = ((tmp_path / "none", tmp_path / "none"), (tmp_path / "limit", tmp_path / "events"))
    monkeypatch.setattr(container, "MEMORY_FILES", files)
    return tmp_path
