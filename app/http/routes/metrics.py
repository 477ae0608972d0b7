"""`GET /metrics`, for Prometheus."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from app.telemetry import exposition, metrics

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Show the metrics", response_class=PlainTextResponse)
async def show_metrics(request: Request) -> Response:
    """Answer the metrics of all processes, in the format of Prometheus or as OpenMetrics; see `docs/metrics.md`."""
    metrics.write()
    content, media_type = await asyncio.to_thread(exposition.render, request.headers.get("accept", ""))
    return Response(content, media_type=media_type)
