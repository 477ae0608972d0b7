"""Spans of requests, as a real collector gets them."""

import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")

from app import __version__
from app.telemetry.otlp import PATH, RequestSpan, Tracer
from app.telemetry.traces import make_tracer
from benchmarks.servers import find_free_port
from tests.app.conftest import Log
from tests.app.telemetry.collector import ERROR, INTERNAL, SERVER, Collector, run_collector

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = [(b"host", b"x"), (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]
NOT_SAMPLED = [(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with run_collector() as collector:
        yield collector


def trace(tracer: Tracer, headers: list[tuple[bytes, bytes]], is_error: bool = False) -> RequestSpan:
    """Trace a request with all parts, from now on."""
    started = time.monotonic()
    span = tracer.begin(headers, started)
    if span.parts:
        span.parts.note("encode", started, started + 0.001)
        span.parts.note("queue", started + 0.001, started + 0.003)
        span.parts.note("engine", started + 0.003, time.monotonic(), rows=7)
    span.end("GET /asked", {"http.request.method": "GET", "http.response.status_code": 200}, is_error)
    return span


def test_a_request_is_a_span_with_its_parts_within(collector: Collector) -> None:
    tracer = Tracer(collector.address, 1)
    before = time.time_ns()
    traced = trace(tracer, [])
    after = time.time_ns()
    tracer.close()
    (request,) = collector.requests()
    assert collector.paths == {PATH}
    assert {"trace_id": request.trace_id, "span_id": request.span_id} == traced.ids
    assert (request.name, request.parent_id, request.status) == ("GET /asked", "", 0)
    assert request.attributes == {"http.request.method": "GET", "http.response.status_code": 200}
    assert before - 10**8 < request.begin < request.end < after + 10**8  # another clock than `time_ns`
    encode, queue, engine = collector.within(request)
    assert [encode.name, queue.name, engine.name] == ["encode", "queue", "engine"]
    assert {span.kind for span in (encode, queue, engine)} == {INTERNAL}
    assert {span.trace_id for span in collector.spans} == {request.trace_id}
    assert request.begin == encode.begin < encode.end == queue.begin < queue.end == engine.begin
    assert abs(queue.end - queue.begin - 2_000_000) < 1000  # nanoseconds: of seconds in 64 bits
    assert engine.attributes == {"lstm_serve.batch.rows": 7} and not queue.attributes
    assert len(collector.spans) == 4


def test_the_process_is_described(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    for name in ("", "sentiment-of-films"):
        if name:
            monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        tracer = Tracer(f"{collector.address}/", 1)
        trace(tracer, [])
        tracer.close()
    one, other = (span.resource for span in collector.requests())
    assert (one["service.name"], other["service.name"]) == ("lstm-serve", "sentiment-of-films")
    assert one["service.version"] == __version__ and one["deployment.environment.name"] == "test"
    assert one["service.instance.id"]
    assert collector.paths == {PATH}


def test_an_error_is_the_status_of_the_span(collector: Collector) -> None:
    tracer = Tracer(collector.address, 1)
    trace(tracer, [], is_error=True)
    tracer.close()
    assert [span.status for span in collector.requests()] == [ERROR]


def test_the_span_of_the_client_is_the_parent(collector: Collector) -> None:
    tracer = Tracer(collector.address, 0)  # the client decides, not the share
    states = [(b"tracestate", b"one=1"), (b"tracestate", b"other=2")]
    traced = trace(tracer, [*SAMPLED, *states])
    tracer.close()
    (request,) = collector.requests()
    assert (request.trace_id, request.parent_id, request.kind) == (TRACE, PARENT, SERVER)
    assert traced.ids["trace_id"] == TRACE and traced.ids["span_id"] == request.span_id != PARENT
    assert request.trace_state == "one=1,other=2"
    assert [span.trace_id for span in collector.within(request)] == [TRACE] * 3


def test_a_client_may_ask_for_no_spans(collector: Collector) -> None:
    tracer = Tracer(collector.address, 1)
    traced = trace(tracer, NOT_SAMPLED)
    trace(tracer, [])
    tracer.close()
    assert traced.parts is None and traced.ids["trace_id"] == TRACE
    (request,) = collector.requests()
    assert request.trace_id != TRACE


@pytest.mark.parametrize(
    "value", [b"", b"00", b"ff-" + SAMPLED[1][1][3:], b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"\xff" * 1000]
)
def test_a_context_that_is_not_valid_is_ignored(collector: Collector, value: bytes) -> None:
    tracer = Tracer(collector.address, 1)
    trace(tracer, [(b"traceparent", value), (b"tracestate", b"\xff=")])
    trace(tracer, [*SAMPLED, *SAMPLED])  # two parents
    tracer.close()
    assert [span.parent_id for span in collector.requests()] == ["", ""]


def test_a_share_of_the_requests_is_traced(collector: Collector) -> None:
    traced = {}
    for share in (0, 0.5, 1):
        tracer = Tracer(collector.address, share)
        traced[share] = [trace(tracer, []).parts is not None for _ in range(200)]
        tracer.close()
    assert not any(traced[0]) and all(traced[1])
    assert 0 < sum(traced[0.5]) < 200  # each with a chance of 2 ** -200
    assert len(collector.requests()) == 200 + sum(traced[0.5])


def test_a_collector_that_is_down_is_logged_as_json(log: Log) -> None:
    tracer = make_tracer(f"http://127.0.0.1:{find_free_port()}", 1)
    assert tracer
    trace(tracer, [])
    tracer.close()
    line = log.wait_for(level="WARNING")
    assert line["logger"].startswith("opentelemetry.") and "Connection refused" in line["message"]


def test_the_end_does_not_wait_for_a_collector_that_does_not_answer(collector: Collector) -> None:
    collector.answers.clear()
    tracer = Tracer(collector.address, 1)
    trace(tracer, [])
    closing = threading.Thread(target=tracer.close)
    closing.start()
    assert collector.asked.wait(10)
    closing.join(10)
    assert not closing.is_alive() and not collector.answers.is_set()
    assert not collector.spans
