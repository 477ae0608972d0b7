import math

import numpy as np
import pytest

from benchmarks.checkouts import Measurement, find_interval, list_targets


def test_few_values_have_no_interval() -> None:
    assert find_interval([1.0] * 5) == (0, math.inf)


def test_the_interval_is_between_the_ranks_of_the_median() -> None:
    assert find_interval([5, 1, 2, 4, 3, 6]) == (1, 6)
    assert find_interval(range(1, 41)) == (14, 27)


@pytest.mark.parametrize("count", [8, 20, 40])
def test_the_interval_holds_the_median_nearly_always(count: int) -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        low, high = find_interval(random.exponential(size=count).tolist())
        held += low <= math.log(2) <= high
    assert 0.93 <= held / 2000 <= 0.99


def measure(number: int, checkout: str, rate: float, bundle: str = "sentiment") -> Measurement:
    return Measurement(number, bundle, checkout, 64, rate, 1.0, 2.0)


def test_the_median_of_the_rounds_ratios_has_a_floor() -> None:
    rates = {"before": (100, 200, 50), "keys": (96, 180, 49)}
    found = [measure(number, name, rate) for name in rates for number, rate in enumerate(rates[name])]
    found += [measure(0, "before", 1000, "imdb-500"), measure(0, "keys", 940, "imdb-500")]
    first, second = list_targets(found, ["before", "keys"], 0.95)
    assert (first.name, first.figure, first.floor) == ("sentiment: keys / before at 64", 0.96, 0.95)
    assert first.reaches(0.95)
    assert (second.figure, second.reaches(second.floor)) == (0.94, False)
