import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.grouping import FIXED_ROWS, FIXED_STEPS, PADDING_SHARE, Grouping

LARGEST = 16


def test_a_batch_costs_the_steps_of_its_longest_row_times_its_rows_and_something_besides() -> None:
    grouping = Grouping(LARGEST)
    assert grouping.cost([10]) == (10 + FIXED_STEPS) * (1 + FIXED_ROWS)
    assert grouping.cost([10, 300]) == grouping.cost([300, 300]) == (300 + FIXED_STEPS) * (2 + FIXED_ROWS)
    assert grouping.largest == LARGEST


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([], []),
        ([10], [0]),
        ([400, 10, 390, 20, 395, 15], [2, 4, 0]),
        ([10, 400, 20, 390, 15, 395], [0, 4, 2]),
        ([400, 10], [0]),
        ([400, 390], [1, 0]),
        ([400, 300], [1, 0]),  # a quarter of the shorter one is padding, and a batch of two is cheaper than two of one
        ([400, 200], [0]),
        ([0, 0], [0, 1]),
        ([100] * 9, list(range(9))),
        ([100] * 16, list(range(16))),
        ([100] * 20, list(range(16))),
    ],
)
def test_the_first_row_is_run_with_others_of_like_length(lengths: list[int], chosen: list[int]) -> None:
    assert Grouping(LARGEST).choose(lengths) == chosen


def test_where_batches_gain_nothing_every_row_is_run_alone() -> None:
    assert Grouping(1).choose([100] * 5) == [0]


@given(lengths=st.lists(st.integers(0, 500), min_size=1, max_size=14))
@pytest.mark.parametrize("largest", [1, 4, LARGEST])
def test_no_batch_of_neighbours_in_length_does_more_for_its_cost(largest: int, lengths: list[int]) -> None:
    grouping = Grouping(largest)

    def value(places: list[int]) -> float:
        chosen = [lengths[place] for place in places]
        return sum(length + FIXED_STEPS for length in chosen) / grouping.cost(chosen)

    def is_bounded(places: list[int]) -> bool:
        steps = [lengths[place] + FIXED_STEPS for place in places]
        return len(steps) <= largest and min(steps) >= (1 - PADDING_SHARE) * max(steps)

    by_length = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    neighbours = [by_length[begin:end] for begin, end in itertools.combinations(range(len(lengths) + 1), 2)]
    possible = [places for places in neighbours if 0 in places and is_bounded(places)]
    chosen = grouping.choose(lengths)
    assert chosen in possible
    assert value(chosen) == pytest.approx(max(map(value, possible)))
