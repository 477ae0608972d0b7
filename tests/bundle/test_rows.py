import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bundle.rows import pad_right


def test_rows_are_filled_up_with_zeros_to_the_longest_of_them() -> None:
    rows = [np.array(row, np.int32) for row in ([1], [2, 3, 4], [], [5, 6])]
    padded, lengths = pad_right(rows)
    assert padded.tolist() == [[1, 0, 0], [2, 3, 4], [0, 0, 0], [5, 6, 0]]
    assert lengths.tolist() == [1, 3, 0, 2]
    assert lengths.dtype == np.int32


@pytest.mark.parametrize("count", [1, 3])
def test_rows_without_steps_have_one(count: int) -> None:
    padded, lengths = pad_right([np.empty(0, np.float32)] * count)
    assert padded.tolist() == [[0]] * count
    assert lengths.tolist() == [0] * count


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_every_row_is_found_again_and_keeps_its_type(dtype: type[np.generic], lengths: list[int]) -> None:
    rows: list[NDArray[np.generic]] = [np.arange(1, length + 1).astype(dtype) for length in lengths]
    padded, found = pad_right(rows)
    assert padded.dtype == dtype
    assert padded.shape == (len(rows), max(1, *lengths))
    for row, place, length in zip(rows, padded, found, strict=True):
        np.testing.assert_array_equal(place[:length], row)
        assert not place[length:].any()
