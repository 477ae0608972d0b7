import math

import numpy as np
import pytest

from benchmarks.checkouts import find_interval


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
