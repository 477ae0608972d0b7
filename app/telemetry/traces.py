"""The parts of a request that is traced. It does not import OpenTelemetry: `app.telemetry.otlp` makes spans of them.

A part is noted where its time is taken, by one call. Requests that are not traced have no object for their parts.
"""

from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

from app.errors import SettingsError

if TYPE_CHECKING:
    from app.telemetry.otlp import Tracer

PartName = Literal["encode", "queue", "engine"]

_parts_of_request: ContextVar["Parts | None"] = ContextVar("parts_of_request", default=None)


class Part(NamedTuple):
    """One part of a request.

    Attributes:
        name: what was done.
        begin: when it began, in seconds on the clock of `time.monotonic`.
        end: when it ended, on the same clock.
        rows: of the batch, if the engine ran one.
    """

    name: PartName
    begin: float
    end: float
    rows: int | None


class Parts:
    """The parts of one request."""

    def __init__(self) -> None:
        """Begin without any."""
        self._found: dict[tuple[PartName, float], Part] = {}

    def __iter__(self) -> Iterator[Part]:
        """Return the parts in the order in which they were noted first."""
        return iter(self._found.values())

    def note(self, name: PartName, begin: float, end: float, rows: int | None = None) -> None:
        """Add a part: see `Part`. It replaces one of the same name and begin: each row of a request notes its own."""
        self._found[name, begin] = Part(name, begin, end, rows)


def begin_parts(parts: Parts | None) -> None:
    """Let `find_parts` return these parts for the rest of this request."""
    _parts_of_request.set(parts)


def find_parts() -> Parts | None:
    """Return the parts of this request; None if it is not traced."""
    return _parts_of_request.get()


def check_exporter() -> None:
    """Return if OpenTelemetry's exporter is installed.

    Raises:
        SettingsError: it is not.
    """
    with suppress(ModuleNotFoundError):  # a package above it is missing
        if find_spec("opentelemetry.exporter.otlp.proto.http"):
            return
    raise SettingsError(
        "traces need OpenTelemetry's exporter, which is not installed; install it with "
        "pip install opentelemetry-exporter-otlp-proto-http, or leave the setting traces empty"
    )


def make_tracer(address: str, share: float) -> "Tracer | None":
    """Return what traces the requests of this process: see `Tracer`; None if the address of the collector is empty.

    Raises:
        SettingsError: OpenTelemetry's exporter is not installed.
    """
    if not address:
        return None
    check_exporter()
    from app.telemetry.otlp import Tracer  # takes a quarter of a second, and is an extra

    return Tracer(address, share)
