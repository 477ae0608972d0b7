"""The baseline of next-letter networks: n-grams of characters with back-off.

The probability of a character after a context is interpolated with that after the shorter context, by the share of
Witten and Bell 1991, "The zero-frequency problem". The shortest context is none; behind it all characters are equally
probable.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.sequences import Sequences

LONGEST = 8  # characters of a context
MOST_CHARACTERS = 4_000_000  # counted, about; the counts then take at most 600 MB

_KEY_BITS = 63  # context and character are one number
_BATCH = 4096  # positions at once


@dataclass(frozen=True)
class Positions:
    """Characters of sequences to be predicted from those before them.

    Attributes:
        sequences: of which they are characters.
        places: of the characters in `sequences.ids`, int64 [positions]; never the first of a sequence.
        begins: where the sequence of each begins, int64 [positions].
    """

    sequences: Sequences
    places: NDArray[np.int64]
    begins: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of positions."""
        return len(self.places)

    @property
    def targets(self) -> NDArray[np.int32]:
        """The number in the alphabet of each character, int32 [positions]."""
        return self.sequences.ids[self.places].astype(np.int32) - 1

    def look_back(self, steps: int) -> NDArray[np.int64]:
        """Return the id of the character so many steps before each, 0 before the sequence; int64 [positions]."""
        back = self.places - steps
        return np.where(back >= self.begins, self.sequences.ids[np.maximum(back, 0)], 0).astype(np.int64)

    def part(self, start: int, end: int) -> "Positions":
        """Return the positions with the numbers from `start` up to `end`."""
        return Positions(self.sequences, self.places[start:end], self.begins[start:end])


def find_positions(sequences: Sequences, most: int, seed: int = 0) -> Positions:
    """Return all positions of sequences in their order, or this many at random if there are more."""
    is_first = np.zeros(len(sequences.ids), bool)
    is_first[sequences.starts[:-1]] = True
    places = np.flatnonzero(~is_first)
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    begins = sequences.starts[np.searchsorted(sequences.starts, places, side="right") - 1]
    return Positions(sequences, places, begins)


class CharacterNgrams:
    """Counts of n-grams of sequences.

    Before its first character a sequence has an endless run of one further sign, so that the counts know how sequences
    begin.
    """

    def __init__(self, training: Positions, characters: int, longest: int) -> None:
        """Count the contexts of up to `longest` characters before each position; fewer if the alphabet is large."""
        self._characters = characters
        self._base = characters + 1
        self.longest = min(longest, int(_KEY_BITS / np.log2(self._base)) - 1)
        self._counts = []
        targets, contexts = training.targets.astype(np.int64), np.zeros(len(training), np.int64)
        for order in range(self.longest + 1):
            contexts = self._extend(contexts, training, order)
            self._counts.append(np.unique(contexts * self._base + targets, return_counts=True))

    def predict(self, positions: Positions, order: int) -> NDArray[np.float64]:
        """Return the probabilities after contexts of up to `order` characters, float64 [positions, characters]."""
        *_, last = self._predict(positions, order)
        return last

    def measure(self, positions: Positions) -> list[float]:
        """Return the bits a character of each order, from 0 to the longest."""
        bits = np.zeros(self.longest + 1)
        for at in range(0, len(positions), _BATCH):
            part = positions.part(at, at + _BATCH)
            rows, targets = np.arange(len(part)), part.targets
            bits += [-np.log2(each[rows, targets]).sum() for each in self._predict(part, self.longest)]
        found: list[float] = (bits / len(positions)).tolist()
        return found

    def _predict(self, positions: Positions, longest: int) -> list[NDArray[np.float64]]:
        """Return the probabilities of each order, from 0 to the longest."""
        rows = len(positions)
        probabilities = np.full((rows, self._characters), 1 / self._characters)
        contexts = np.zeros(rows, np.int64)
        found = []
        for order in range(longest + 1):
            contexts = self._extend(contexts, positions, order)
            keys, counts = self._counts[order]
            first, end = (np.searchsorted(keys, contexts * self._base + k) for k in (0, self._base))
            kinds = end - first  # different characters that were seen after the context
            of_row = np.repeat(np.arange(rows), kinds)
            at = np.arange(kinds.sum()) - np.repeat(np.cumsum(kinds) - kinds, kinds) + np.repeat(first, kinds)
            seen = np.zeros_like(probabilities)
            seen[of_row, keys[at] % self._base] = counts[at]
            mass = seen.sum(axis=1) + kinds
            is_known = mass > 0
            mixed = (seen + kinds[:, np.newaxis] * probabilities) / np.maximum(mass, 1)[:, np.newaxis]
            probabilities = np.where(is_known[:, np.newaxis], mixed, probabilities)
            found.append(probabilities)
        return found

    def _extend(self, contexts: NDArray[np.int64], positions: Positions, order: int) -> NDArray[np.int64]:
        """Return contexts of `order` characters, made of those that are one shorter."""
        if not order:
            return contexts
        extended: NDArray[np.int64] = contexts + positions.look_back(order) * self._base ** (order - 1)
        return extended


@dataclass(frozen=True)
class Baseline:
    """A baseline's figures on the test positions."""

    name: str
    accuracy: float
    top_3_accuracy: float
    bits: float


def measure_baselines(
    training: Sequences, validation: Sequences, test: Positions, characters: int, seed: int
) -> tuple[Baseline, ...]:
    """Return the figures of the most frequent character, and of the n-gram whose order is best on other sequences.

    Args:
        training: what both learn from; if there are too many, from some of them at random.
        validation: decides the order.
        test: what both are measured on.
        characters: of the alphabet.
        seed: of the choice of positions, if there are too many.
    """
    share = MOST_CHARACTERS / len(training.ids)
    limit = f", of {share:.0%} of the lines" if share < 1 else ""
    if limit:
        training = training.take(np.random.default_rng(seed).random(len(training)) < share)
    ngrams = CharacterNgrams(find_positions(training, len(training.ids)), characters, LONGEST)
    order = int(np.argmin(ngrams.measure(find_positions(validation, len(test), seed))))
    return (
        _measure("most frequent character", ngrams, test, 0),
        _measure(f"n-gram with back-off, {order} characters of context{limit}", ngrams, test, order),
    )


def find_top(probabilities: NDArray[np.floating], targets: NDArray[np.int32], count: int) -> float:
    """Return how often the target is among so many of the most probable classes; of equal ones the first counts."""
    own = probabilities[np.arange(len(targets)), targets][:, np.newaxis]
    is_before = np.arange(probabilities.shape[1]) < targets[:, np.newaxis]
    ahead = (probabilities > own) | ((probabilities == own) & is_before)
    return float(np.mean(ahead.sum(axis=1) < count))


def _measure(name: str, ngrams: CharacterNgrams, test: Positions, order: int) -> Baseline:
    figures = np.zeros(3)
    for at in range(0, len(test), _BATCH):
        part = test.part(at, at + _BATCH)
        targets, found = part.targets, ngrams.predict(part, order)
        bits = -np.log2(found[np.arange(len(part)), targets]).mean()
        right = float(np.mean(found.argmax(axis=1) == targets))
        figures += np.array([right, find_top(found, targets, 3), bits]) * len(part)
    return Baseline(name, *(figures / len(test)).tolist())
