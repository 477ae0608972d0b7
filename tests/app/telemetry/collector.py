"""A collector of traces: a real server of OTLP over HTTP, which keeps the spans that it gets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

from tests.conftest import SECONDS

SERVER = SentSpan.SPAN_KIND_SERVER
INTERNAL = SentSpan.SPAN_KIND_INTERNAL
ERROR = 2  # of the status of a span


@dataclass(frozen=True)
class Span:
    """A span as the collector got it; times are nanoseconds since 1970."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    begin: int
    end: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """A collector, which answers only while `answers` is set."""

    def __init__(self) -> None:
        self.address = ""
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        self.asked = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    def take(self, path: str, body: bytes) -> None:
        """Take a request of an exporter."""
        self.asked.set()
        assert self.answers.wait(SECONDS)
        self.paths.add(path)
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _read(sent.resource.attributes)
            self.spans.extend(_make_span(span, resource) for scope in sent.scope_spans for span in scope.spans)

    def requests(self) -> list[Span]:
        """Return the spans of requests, in the order in which they began."""
        return sorted((span for span in self.spans if span.kind == SERVER), key=lambda span: span.begin)

    def within(self, parent: Span) -> list[Span]:
        """Return the spans within a span, in the order in which they began."""
        found = [span for span in self.spans if span.parent_id == parent.span_id]
        return sorted(found, key=lambda span: (span.begin, span.end))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, collector: Collector, *args: Any) -> None:
        self._collector = collector
        super().__init__(*args)

    def do_POST(self) -> None:  # noqa: N802  # of the base class
        self._collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
        self.send_response(HTTPStatus.OK)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def run_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, collector)) as server:
        collector.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.answers.set()
            server.shutdown()
            thread.join(SECONDS)


def _read(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in pairs}


def _make_span(span: SentSpan, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        begin=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=span.status.code,
        attributes=_read(span.attributes),
        resource=resource,
    )
