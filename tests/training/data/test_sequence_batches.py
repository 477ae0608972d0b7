from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.sequence_batches import SequenceBatches, find_windows
from training.data.sequences import Sequences


def make_sequences(*lengths: int) -> Sequences:
    """Return sequences of the ids 1, 2, 3, ... in a row, so that every character is known by its id."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(np.arange(1, starts[-1] + 1).astype(np.uint8), starts, np.arange(len(lengths), dtype=np.uint64))


def read_targets(batches: SequenceBatches) -> list[tuple[NDArray[np.int32], int]]:
    """Return the ids before every target in its window, and the target's id."""
    found = []
    for inputs, targets, weights in (batches[index] for index in range(len(batches))):
        for row, column in np.argwhere(weights):
            found.append((inputs[row, : column + 1], int(targets[row, column]) + 1))
    return found


def test_windows_overlap_by_half() -> None:
    starts, steps = find_windows(make_sequences(2, 9, 10, 20), 8)
    assert list(zip(starts.tolist(), steps.tolist(), strict=True)) == [
        (0, 1),
        (2, 8),
        (11, 8),
        (15, 5),
        (21, 8),
        (25, 8),
        (29, 8),
        (33, 7),
    ]


@pytest.mark.parametrize("length", [1, 2, 7, 8, 64])
def test_every_character_but_the_first_is_learnt_from_those_before_it(length: int) -> None:
    sequences = make_sequences(2, 3, 9, 40, 100, 16)
    batches = SequenceBatches(sequences, length, batch_size=3, seed=1)
    found = read_targets(batches)
    assert batches.characters == len(found)
    longest: dict[int, int] = {}
    for before, target in found:
        assert before.tolist() == list(range(target - len(before), target))
        longest[target] = max(longest.get(target, 0), len(before))
    for start, end in pairwise(sequences.starts.tolist()):
        assert start + 1 not in longest
        for place in range(start + 1, end):
            assert longest[place + 1] >= min(place - start, max(1, length // 2))


def test_batches_have_one_size_and_a_few_lengths() -> None:
    batches = SequenceBatches(make_sequences(2, 3, 9, 40, 100, 16), 64, batch_size=3, seed=1)
    shapes = [tuple(array.shape for array in batches[index]) for index in range(len(batches))]
    assert {shape[0][0] for shape in shapes} == {3}
    assert {shape[0][1] for shape in shapes} <= {8, 16, 32, 64}
    assert shapes[0] != shapes[1]  # Keras would take the size for fixed
    assert all(len(set(shape)) == 1 for shape in shapes)
    assert [array.dtype for array in batches[0]] == [np.int32, np.int32, np.float32]


def test_short_sequences_need_no_full_length() -> None:
    batches = SequenceBatches(make_sequences(4, 5, 4), 64, batch_size=2, seed=1)
    assert {batches[index][0].shape for index in range(len(batches))} == {(2, 4)}


def test_an_epoch_has_an_order_of_its_own() -> None:
    batches = SequenceBatches(make_sequences(*[6] * 30), 64, batch_size=5, seed=1)
    first = [batches[index][0].tolist() for index in range(len(batches))]
    batches.epoch = 1
    second = [batches[index][0].tolist() for index in range(len(batches))]
    batches.epoch = 0
    assert first != second
    assert sorted(row for batch in first for row in batch) == sorted(row for batch in second for row in batch)
    assert first == [batches[index][0].tolist() for index in range(len(batches))]
