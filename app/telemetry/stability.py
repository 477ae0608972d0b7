"""The population stability index: how much the latest inputs of a model differ from the data it was measured on.

Source: N. Siddiqi, Credit Risk Scorecards (2006): below 0.1 the two are alike, above 0.25 they differ much.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.telemetry.buffered import Gauge

# A process compares its latest inputs, between this number and twice as many.
LATEST_INPUTS = 2000
# Fewer inputs, of all processes together, have no index. Without any difference the index of `n` inputs in `b` buckets
# is about (b - 1) / n, because of chance.
LEAST_INPUTS = 1000
# An empty bucket counts as this share: the logarithm of zero is infinite.
LEAST_SHARE = 0.0001

INDEX = "lstm_serve_stability_index"
INDEX_HELP = (
    "Population stability index of the latest inputs and the reference of the bundle: below 0.1 they are alike, from "
    "0.1 to 0.25 they differ, above 0.25 they differ much."
)
INDEX_LABELS = ("model", "version", "measure")
LATEST = "lstm_serve_latest_inputs"
REFERENCE = "lstm_serve_reference_share"


class Latest:
    """Counts the latest values of one measure by bucket."""

    def __init__(self, bounds: Sequence[float], gauges: Sequence[Gauge]) -> None:
        """Take the upper bounds of the buckets, without infinity, and a gauge for each."""
        self._bounds = bounds
        self._gauges = gauges
        self._older = [0] * len(gauges)
        self._newer = [0] * len(gauges)
        self._count = 0  # of the newer ones

    def note(self, value: float) -> None:
        """Count a value; forget the oldest ones after every `LATEST_INPUTS` values."""
        place = bisect_left(self._bounds, value)
        self._newer[place] += 1
        self._count += 1
        self._gauges[place].put(self._older[place] + self._newer[place])
        if self._count == LATEST_INPUTS:
            self._older, self._newer, self._count = self._newer, [0] * len(self._newer), 0
            for gauge, count in zip(self._gauges, self._older, strict=True):
                gauge.put(count)


def compute_index(counts: Sequence[float], shares: Sequence[float]) -> float | None:
    """Return the index of counts by bucket and the shares of a reference; None for fewer than `LEAST_INPUTS`."""
    total = sum(counts)
    if total < LEAST_INPUTS:
        return None
    index = 0.0
    for count, share in zip(counts, shares, strict=True):
        found, expected = max(count / total, LEAST_SHARE), max(share, LEAST_SHARE)
        index += (found - expected) * math.log(found / expected)
    return index


def measure(metrics: Iterable[Metric]) -> GaugeMetricFamily:
    """Return the indices as a metric, from the metrics of the latest inputs and of the references."""
    found: dict[str, dict[tuple[str, ...], dict[str, float]]] = {
        LATEST: defaultdict(dict),
        REFERENCE: defaultdict(dict),
    }
    for metric in metrics:
        for sample in metric.samples if metric.name in found else ():
            labels = tuple(sample.labels[name] for name in INDEX_LABELS)
            found[metric.name][labels][sample.labels["le"]] = sample.value
    family = GaugeMetricFamily(INDEX, INDEX_HELP, labels=INDEX_LABELS)
    for labels, shares in sorted(found[REFERENCE].items()):
        counts = [found[LATEST][labels][bound] for bound in shares]
        if (index := compute_index(counts, [*shares.values()])) is not None:
            family.add_metric(labels, index)
    return family
