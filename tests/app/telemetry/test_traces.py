"""The parts of a request, without OpenTelemetry."""

import sys
from contextvars import Context

import pytest

from app.errors import SettingsError
from app.telemetry.traces import Part, Parts, begin_parts, check_exporter, find_parts, make_tracer


def test_rows_of_one_request_note_one_part() -> None:
    parts = Parts()
    parts.note("queue", 1.0, 2.0)
    parts.note("engine", 2.0, 3.0, rows=4)
    parts.note("engine", 2.0, 3.0, rows=4)  # another row of the same batch
    parts.note("queue", 1.0, 3.0)  # a row that ran later
    parts.note("engine", 3.0, 4.0, rows=1)
    assert list(parts) == [
        Part("queue", 1.0, 3.0, None),
        Part("engine", 2.0, 3.0, 4),
        Part("engine", 3.0, 4.0, 1),
    ]


def test_each_request_has_its_own_parts() -> None:
    assert find_parts() is None
    one, other = Context(), Context()
    parts = Parts()
    one.run(begin_parts, parts)
    assert one.run(find_parts) is parts
    assert other.run(find_parts) is None


def test_nothing_is_traced_without_a_collector() -> None:
    assert make_tracer("", 1) is None


def test_traces_need_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)  # as if it were not installed
    with pytest.raises(SettingsError, match="pip install opentelemetry-exporter-otlp-proto-http, or leave the setting"):
        check_exporter()
    with pytest.raises(SettingsError, match="not installed"):
        make_tracer("http://localhost:4318", 1)
