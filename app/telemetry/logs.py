"""Structured logs: one JSON object a line, with the request's id and its model; never the user's text."""

import json
import logging
import random
import select
import sys
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}

_encode = json.JSONEncoder(default=str).encode  # made once: it is a third of a line's time

_fields_of_request: ContextVar[dict[str, object] | None] = ContextVar("fields_of_request", default=None)


def make_request_id() -> str:
    """Return an id for a request; it is unique, and not secret."""
    return f"{random.getrandbits(128):032x}"


def begin_request(fields: dict[str, object]) -> None:
    """Start the fields that every line of this request has."""
    _fields_of_request.set(fields)


def annotate_request(**fields: object) -> None:
    """Add fields to the lines of this request from here on."""
    (_fields_of_request.get() or {}).update(fields)


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, message, the request's fields, the record's `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **(_fields_of_request.get() or {}),
            **{name: value for name, value in record.__dict__.items() if name not in _STANDARD},
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _encode(fields)


class Handler(logging.StreamHandler[TextIO]):
    """Writes lines to standard error; drops them while nobody reads there: a full pipe would block the process."""

    def __init__(self) -> None:
        """Take standard error."""
        super().__init__(sys.stderr)
        self._dropped = 0
        self._poll: select.poll | None = None
        with suppress(AttributeError, OSError):  # it may be no file, but an object of Python
            descriptor = sys.stderr.fileno()
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and before it the number of dropped lines."""
        if self._poll and not self._poll.poll(0):
            self._dropped += 1
            return
        if self._dropped:
            message = f"nobody read the log: {self._dropped} lines were dropped"
            super().emit(logging.makeLogRecord({"name": __name__, "levelname": "WARNING", "msg": message}))
            self._dropped = 0
        super().emit(record)


def configure(level: str) -> None:
    """Send the logs of the service and of what it runs on to standard error as JSON."""
    handler = Handler()
    handler.setFormatter(JsonFormatter())
    for name in ("app", "uvicorn", "asyncio", "opentelemetry"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.propagate = False
        log.setLevel(level)
    access = logging.getLogger("uvicorn.access")  # the service writes a line a request itself
    access.handlers = []
    access.propagate = False
