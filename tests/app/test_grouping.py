import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.grouping import FIXED_ROWS, FIXED_STEPS, PADDING_SHARE, Grouping

SIZES = (1, 4, 16)


def test_a_batch_costs_the_steps_of_its_longest_row_times_the_rows_that_are_run() -> None:
    grouping = Grouping(SIZES)
    assert grouping.cost([10]) == (10 + FIXED_STEPS) * (1 + FIXED_ROWS)
    assert grouping.cost([10, 300]) == grouping.cost([300] * 4) == (300 + FIXED_STEPS) * (4 + FIXED_ROWS)
    assert grouping.largest == 16


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ([], []),
        ([10], [0]),
        ([400, 10, 390, 20, 395, 15], [2, 4, 0]),
        ([10, 400, 20, 390, 15, 395], [0, 4, 2]),
        ([400, 10], [0]),
        ([400, 390], [0]),  # 2 of 4 places empty, where one of 1 is not
        ([100] * 3, [0, 1, 2]),
        ([100] * 9, [0, 1, 2, 3]),  # the others would leave 7 of 16 places empty
        ([100] * 16, list(range(16))),
    ],
)
def test_the_first_row_is_run_with_others_of_like_length(lengths: list[int], chosen: list[int]) -> None:
    assert Grouping(SIZES).choose(lengths) == chosen


@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=14))
def test_no_batch_of_neighbours_in_length_does_more_for_its_cost(lengths: list[int]) -> None:
    grouping = Grouping(SIZES)

    def value(places: list[int]) -> float:
        chosen = [lengths[place] for place in places]
        return sum(length + FIXED_STEPS for length in chosen) / grouping.cost(chosen)

    def is_bounded(places: list[int]) -> bool:
        steps = [lengths[place] + FIXED_STEPS for place in places]
        return min(steps) >= (1 - PADDING_SHARE) * max(steps)

    by_length = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    neighbours = [by_length[begin:end] for begin, end in itertools.combinations(range(len(lengths) + 1), 2)]
    possible = [places for places in neighbours if 0 in places and is_bounded(places)]
    chosen = grouping.choose(lengths)
    assert chosen in possible
    assert value(chosen) == pytest.approx(max(map(value, possible)))
