"""Makes spans of requests and their parts, and sends them to an OpenTelemetry collector (OTLP over HTTP).

The only module that imports OpenTelemetry, which is an extra. Its own variables hold here too: OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, those of the exporter, such as OTEL_EXPORTER_OTLP_HEADERS, and those of the batch processor.
"""

import os
import threading
import time
from collections.abc import Iterable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace import Tracer as OpenTelemetryTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.telemetry.traces import Parts

PATH = "/v1/traces"
# A process that ends sends its last spans for this long. Then it ends without them: the collector may be down.
FLUSH_SECONDS = 1.0

_CONTEXT_HEADERS = (b"traceparent", b"tracestate")
_propagator = TraceContextTextMapPropagator()


class Tracer:
    """Traces the requests of one process. Its thread sends the spans; without a collector, the oldest are dropped."""

    def __init__(self, address: str, share: float) -> None:
        """Begin.

        Args:
            address: of the collector, without a path for traces.
            share: of the requests to trace, among those whose client does not decide it.
        """
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "lstm-serve"),
                "service.version": __version__,
            }
        )
        # Without the handler at exit: it would wait for the collector for half a minute.
        self._provider = TracerProvider(ParentBasedTraceIdRatio(share), resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(address.rstrip("/") + PATH)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lstm-serve", __version__)

    def begin(self, headers: Iterable[tuple[bytes, bytes]], started: float) -> "RequestSpan":
        """Return the span of a request, as a child of the client's span if the headers have one.

        Args:
            headers: of the request, their names in lower case.
            started: when it began, on the clock of `time.monotonic`.
        """
        return RequestSpan(self._tracer, _read_context(headers), started)

    def close(self) -> None:
        """Send the spans that are left, for a limited time."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(FLUSH_SECONDS)


class RequestSpan:
    """The span of one request.

    Attributes:
        ids: of the trace and of the span, for log lines.
        parts: of the request, which become spans within this one; None if the request is not sampled.
    """

    def __init__(self, tracer: OpenTelemetryTracer, context: Context, started: float) -> None:
        """Begin; made by `Tracer.begin`."""
        self._tracer = tracer
        # One difference between both clocks for all spans of a request: so they nest even if the wall clock is set.
        self._wall_clock = time.time_ns() - time.monotonic_ns()
        self._span: Span = tracer.start_span(
            "HTTP", context, SpanKind.SERVER, start_time=self._to_wall_clock(started), record_exception=False
        )
        known = self._span.get_span_context()
        self.ids = {"trace_id": format_trace_id(known.trace_id), "span_id": format_span_id(known.span_id)}
        self.parts = Parts() if self._span.is_recording() else None

    def end(self, name: str, attributes: Mapping[str, str | int], is_error: bool) -> None:
        """End the span, and make those of its parts."""
        if self.parts is None:
            return
        ended = self._to_wall_clock(time.monotonic())
        within = set_span_in_context(self._span, Context())
        for part in self.parts:
            rows = {} if part.rows is None else {"lstm_serve.batch.rows": part.rows}
            child = self._tracer.start_span(
                part.name, within, attributes=rows, start_time=self._to_wall_clock(part.begin)
            )
            child.end(self._to_wall_clock(part.end))
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if is_error:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(ended)

    def _to_wall_clock(self, seconds: float) -> int:
        """Return a time on the clock of `time.monotonic` as nanoseconds since 1970."""
        return self._wall_clock + round(seconds * 1e9)


def _read_context(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the context that the client sent (W3C Trace Context); empty without a valid one."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _CONTEXT_HEADERS:
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    # Several `tracestate` are one list; several `traceparent` become a value that is not valid.
    return _propagator.extract({name: ",".join(values) for name, values in found.items()}, Context())
