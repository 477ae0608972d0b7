import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric

from app.telemetry.buffered import Gauge
from app.telemetry.stability import (
    INDEX,
    INDEX_LABELS,
    LATEST,
    LATEST_INPUTS,
    LEAST_INPUTS,
    LEAST_SHARE,
    REFERENCE,
    Latest,
    compute_index,
    measure,
)

LABELS = {"model": "sentiment", "version": "1", "measure": "length"}


def test_the_index_of_equal_shares_is_0() -> None:
    assert compute_index([500, 1500], [0.25, 0.75]) == 0


def test_the_index_is_the_sum_over_the_buckets() -> None:
    expected = (0.5 - 0.25) * math.log(0.5 / 0.25) + (0.5 - 0.75) * math.log(0.5 / 0.75)
    assert compute_index([1000, 1000], [0.25, 0.75]) == pytest.approx(expected)


def test_an_empty_bucket_counts_as_a_small_share() -> None:
    expected = 2 * (1 - LEAST_SHARE) * math.log(1 / LEAST_SHARE)
    assert compute_index([LEAST_INPUTS, 0], [0, 1]) == pytest.approx(expected)


def test_few_inputs_have_no_index() -> None:
    assert compute_index([LEAST_INPUTS - 1, 0], [0.5, 0.5]) is None
    assert compute_index([0, 0], [0.5, 0.5]) is None


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), min_size=2, max_size=14))
def test_the_index_is_never_negative(pairs: list[tuple[int, int]]) -> None:
    references, counts = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    index = compute_index(counts, [reference / sum(references) for reference in references])
    assert index is None or index >= 0


def test_only_the_latest_inputs_count() -> None:
    gauges = [Gauge(f"bucket_{place}", "A bucket.", registry=CollectorRegistry()) for place in range(3)]
    latest = Latest((1, 2), gauges)

    def counts() -> list[float]:
        for gauge in gauges:
            gauge.write()
        return [metric.samples[0].value for gauge in gauges for metric in gauge.collect()]

    for value in (0, 1, 1.5, 3):
        latest.note(value)
    assert counts() == [2, 1, 1]
    for _ in range(LATEST_INPUTS):
        latest.note(2)
    assert counts() == [2, LATEST_INPUTS + 1, 1]
    for _ in range(LATEST_INPUTS):
        latest.note(3)
    assert counts() == [0, 4, LATEST_INPUTS]


def make(name: str, values: dict[str, float]) -> Metric:
    """Return a metric with a value for each bucket."""
    metric = Metric(name, "Buckets.", "gauge")
    for bound, value in values.items():
        metric.add_sample(name, LABELS | {"le": bound}, value)
    return metric


def test_a_model_with_a_reference_and_enough_inputs_has_an_index() -> None:
    metrics = [make(REFERENCE, {"1.0": 0.25, "+Inf": 0.75}), make(LATEST, {"+Inf": 1000, "1.0": 1000})]
    (sample,) = measure([*metrics, make("other", {"1.0": 1})]).samples
    assert (sample.name, sample.labels) == (INDEX, LABELS)
    assert tuple(sample.labels) == INDEX_LABELS
    assert sample.value == compute_index([1000, 1000], [0.25, 0.75])


def test_a_model_without_a_reference_or_with_few_inputs_has_none() -> None:
    assert not measure([]).samples
    assert not measure([make(REFERENCE, {"1.0": 0.25, "+Inf": 0.75}), make(LATEST, {"1.0": 9, "+Inf": 9})]).samples
