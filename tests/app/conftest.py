import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from queue import SimpleQueue
from typing import Any

import pytest

from app import logs
from tests.conftest import SECONDS


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


@pytest.fixture
def log() -> Iterator[Log]:
    """What the service logs during a test."""
    log = Log()
    with redirect_stderr(log):  # type: ignore[type-var]  # it is writable, which is all that logging needs
        logs.configure("INFO")
    yield log
    logs.configure("INFO")
