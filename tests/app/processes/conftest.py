import logging
import signal
from collections.abc import Callable, Iterator

import pytest


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
