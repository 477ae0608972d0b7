"""`GET /metrics`, for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.errors import METRICS_MISSING, MetricsMissingError
from app.http.routes import describe_errors
from app.telemetry import exposition, metrics

router = APIRouter(tags=["health"])

_EXAMPLE = """\
# HELP lstm_serve_ready_processes Processes that answer with all models that readiness needs.
# TYPE lstm_serve_ready_processes gauge
lstm_serve_ready_processes 2.0
"""


@router.get(
    "/metrics",
    summary="Show the metrics",
    operation_id="metrics",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {"example": _EXAMPLE}}},
        **describe_errors("/metrics", MetricsMissingError(METRICS_MISSING.format("No space left on device"))),
    },
)
async def show_metrics(request: Request) -> Response:
    """Answer the metrics of all processes, in the format of Prometheus or as OpenMetrics; see `docs/metrics.md`."""
    metrics.write()
    content, media_type = await asyncio.to_thread(exposition.render, request.headers.get("accept", ""))
    return Response(content, media_type=media_type)
