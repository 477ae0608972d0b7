"""The batches of a next-letter network that learns from every position of its sequences."""

import keras
import numpy as np
from numpy.typing import NDArray

from training.data.sequences import Sequences

_SHORTEST = 8  # steps of the shortest windows; shorter sequences are padded to it


class SequenceBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches for a network that answers at every step.

    A batch is ids, int32 [batch, steps]; the next character's number in the alphabet, int32 [batch, steps]; and the
    weights of these targets, float32 [batch, steps], 0 where there is padding, which is on the right.

    A sequence of more steps than `length` is cut into windows that overlap by half, so that a character in the middle
    of a sequence is learnt at least once from half a window before it. Windows are padded to a few lengths; the network
    is compiled once for each. A batch that is not full is filled with windows of weight 0. Any epoch can be made
    without the epochs before it.
    """

    def __init__(self, sequences: Sequences, length: int, batch_size: int, seed: int) -> None:
        """Take sequences of at least two characters; begin with the first epoch."""
        super().__init__()
        self._ids = sequences.ids
        self._starts, self._steps = find_windows(sequences, length)
        self._batch_size = batch_size
        self._seed = seed
        self._groups = _group(self._steps, length)
        self._planned = -1
        self._plan: list[tuple[int, NDArray[np.intp]]] = []
        self.epoch = 0

    @property
    def characters(self) -> int:
        """The targets of an epoch; a character counts in each window that has it."""
        return int(self._steps.sum())

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return sum(-(-len(members) // self._batch_size) for members in self._groups.values())

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Return one batch of the epoch."""
        if self._planned != self.epoch:
            self._plan = self._make_plan()
            self._planned = self.epoch
        steps, members = self._plan[index]
        places = self._starts[members, np.newaxis] + np.arange(steps)
        is_present = np.arange(steps) < self._steps[members, np.newaxis]
        last = len(self._ids) - 2
        read = np.where(is_present, self._ids[np.minimum(places, last)], 0).astype(np.int32)
        following = np.where(is_present, self._ids[np.minimum(places, last) + 1] - 1, 0).astype(np.int32)
        shape = self._batch_size, steps
        inputs, targets, weights = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        inputs[: len(members)], targets[: len(members)], weights[: len(members)] = read, following, is_present
        return inputs, targets, weights

    def _make_plan(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Return steps and windows of each batch of the epoch."""
        random = np.random.default_rng([self._seed, self.epoch])
        batches = []
        for steps, members in self._groups.items():
            order = random.permutation(members)
            batches += [(steps, order[at : at + self._batch_size]) for at in range(0, len(order), self._batch_size)]
        plan = [batches[k] for k in random.permutation(len(batches))]
        # Keras compares the first two batches to find the axes with a fixed size, so these two must differ in steps.
        if others := [k for k, (steps, _) in enumerate(plan) if steps != plan[0][0]]:
            plan[1], plan[others[0]] = plan[others[0]], plan[1]
        return plan


def find_windows(sequences: Sequences, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each window begins in the ids, and the steps that it reads, both int64 [windows].

    The last character of a sequence is never read, only answered.
    """
    steps = sequences.lengths - 1
    stride = max(1, length // 2)
    counts = 1 + np.maximum(0, -(-(steps - length) // stride))
    numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # of a window in its sequence
    before = numbers * stride
    starts = np.repeat(sequences.starts[:-1], counts) + before
    return starts, np.minimum(length, np.repeat(steps, counts) - before)


def _group(steps: NDArray[np.int64], length: int) -> dict[int, NDArray[np.intp]]:
    """Return the numbers of windows by the steps that they are padded to: `length`, its half, its quarter, ..."""
    limits = [min(length, int(steps.max()))]
    while limits[0] // 2 >= _SHORTEST:
        limits.insert(0, -(-limits[0] // 2))
    found = np.searchsorted(limits, steps)
    groups = {limit: np.flatnonzero(found == place) for place, limit in enumerate(limits)}
    return {limit: members for limit, members in groups.items() if len(members)}
