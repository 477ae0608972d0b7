import math

import pytest
from prometheus_client import CollectorRegistry

from app.telemetry.buffered import Counter, Gauge, Histogram


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_counter_has_what_was_written(registry: CollectorRegistry) -> None:
    counter = Counter("words", "Words.", ["model"], registry=registry)
    counter.labels("a").add()
    counter.labels("a").add(2)
    assert registry.get_sample_value("words_total", {"model": "a"}) == 0
    counter.write()
    counter.write()
    assert registry.get_sample_value("words_total", {"model": "a"}) == 3
    counter.labels("a").add()
    counter.write()
    assert registry.get_sample_value("words_total", {"model": "a"}) == 4


def test_a_gauge_has_the_latest_value(registry: CollectorRegistry) -> None:
    gauge = Gauge("rows", "Rows.", registry=registry)
    for value in (3, 1):
        gauge.put(value)
    gauge.write()
    assert registry.get_sample_value("rows") == 1
    gauge.put(0)
    gauge.write()
    assert registry.get_sample_value("rows") == 0


def test_a_histogram_counts_each_value_in_its_bucket(registry: CollectorRegistry) -> None:
    histogram = Histogram("seconds", "Seconds.", ["model"], registry=registry, buckets=(1, 2))
    for _ in range(2):
        for value in (0.5, 1, 1.5, 3):
            histogram.labels("a").note(value)
        histogram.write()
    histogram.write()
    buckets = [registry.get_sample_value("seconds_bucket", {"model": "a", "le": le}) for le in ("1.0", "2.0", "+Inf")]
    assert buckets == [4, 6, 8]
    assert registry.get_sample_value("seconds_sum", {"model": "a"}) == 12
    assert registry.get_sample_value("seconds_count", {"model": "a"}) == 8


def test_it_counts_as_the_library_itself(registry: CollectorRegistry) -> None:
    bounds = (0.1, 0.2, 0.5)
    ours = Histogram("ours", "Ours.", registry=registry, buckets=bounds)
    theirs = Histogram("theirs", "Theirs.", registry=registry, buckets=bounds)
    for value in (0, 0.1, 0.1000001, 0.2, 0.49, 0.5, 7, math.inf):
        ours.note(value)
        theirs.observe(value)
    ours.write()
    (metric,) = theirs.collect()
    for sample in metric.samples:
        if sample.name.endswith(("_bucket", "_count", "_sum")):
            assert registry.get_sample_value(sample.name.replace("theirs", "ours"), sample.labels) == sample.value


def test_labels_that_are_not_kept_are_forgotten(registry: CollectorRegistry) -> None:
    counter = Counter("words", "Words.", ["model"], registry=registry)
    for model in ("a", "b"):
        counter.labels(model).add()
    counter.keep(lambda labels: labels["model"] == "b")
    counter.write()
    assert registry.get_sample_value("words_total", {"model": "a"}) is None
    assert registry.get_sample_value("words_total", {"model": "b"}) == 1
    Gauge("rows", "Rows.", registry=registry).keep(lambda _: False)
    assert registry.get_sample_value("rows") == 0


def test_values_that_are_made_anew_begin_at_zero_and_gauges_keep_what_they_show(registry: CollectorRegistry) -> None:
    metrics = (
        Counter("words", "Words.", ["model"], registry=registry),
        Gauge("rows", "Rows.", registry=registry),
        Histogram("seconds", "Seconds.", registry=registry, buckets=(1,)),
    )
    words, rows, seconds = metrics
    words.labels("a").add(3)
    rows.put(4)
    seconds.note(0.5)
    for metric in metrics:
        metric.write()
        metric.renew()
        metric.write()
    assert registry.get_sample_value("words_total", {"model": "a"}) == 0
    assert registry.get_sample_value("rows") == 4
    assert registry.get_sample_value("seconds_count") == registry.get_sample_value("seconds_sum") == 0
    words.labels("a").add()
    words.write()
    assert registry.get_sample_value("words_total", {"model": "a"}) == 1
