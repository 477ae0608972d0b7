"""The metrics of all processes as text, for Prometheus; and the states of models in all processes."""

from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from app.errors import METRICS_MISSING, MetricsMissingError
from app.telemetry.metrics import MODELS, PLACE, REGISTRY
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


def count_processes(model: str) -> Mapping[tuple[str, str], int]:
    """Return in how many processes the versions of a model have a state, by version and state; in any thread."""
    metrics = PLACE.collect("gauge_livesum_*.db") if PLACE else MODELS.collect()
    samples = (sample for metric in metrics for sample in metric.samples if sample.name == "lstm_serve_models")
    return {
        (sample.labels["version"], sample.labels["state"]): int(sample.value)
        for sample in samples
        if sample.labels["model"] == model
    }
