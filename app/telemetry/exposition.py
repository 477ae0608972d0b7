"""The metrics of all processes as text, for Prometheus."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from app.errors import METRICS_MISSING, MetricsMissingError
from app.telemetry.metrics import PLACE, REGISTRY
from app.telemetry.stability import measure


class _Collected(Collector):
    """Metrics that have been collected."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def render(accept: str) -> tuple[bytes, str]:
    """Return the metrics that all processes have written, and their media type; takes milliseconds, in any thread.

    The format is OpenMetrics if the client accepts it, else the older text format of Prometheus.

    Raises:
        MetricsMissingError: the files of the processes cannot be read.
    """
    try:
        metrics = PLACE.collect() if PLACE else [*REGISTRY.collect()]
    except OSError as error:
        raise MetricsMissingError(METRICS_MISSING.format(error.strerror)) from error
    collected = _Collected([*metrics, measure(metrics)])
    # Not `choose_encoder`, which fails for a version that is not a number.
    if "application/openmetrics-text" in accept:
        return openmetrics.generate_latest(collected), openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(collected), CONTENT_TYPE_PLAIN_0_0_4
