"""Coded reviews as arrays on disk, which are mapped into memory as they are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bundle.reviews import ReviewCodec, pad_left
from training.evaluation.calibration import to_margins

UNLABELLED = -1.0

_IDS = "ids.npy"
_ENDS = "ends.npy"


class Corpus:
    """The ids of reviews of unequal lengths, one after the other."""

    def __init__(self, ids: NDArray[np.int32], ends: NDArray[np.int64]) -> None:
        """Take the ids of all reviews, int32 [ids], and where each review ends among them, int64 [reviews]."""
        self.ids = ids
        self._starts = np.concatenate([[0], ends[:-1]])
        self._ends = ends

    @classmethod
    def of(cls, reviews: Iterable[NDArray[np.int32]]) -> Self:
        """Make one of the ids of each review."""
        reviews = list(reviews)
        return cls(np.concatenate(reviews), np.cumsum([len(ids) for ids in reviews]))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the one that is in a folder."""
        return cls(np.load(folder / _IDS, mmap_mode="r"), np.load(folder / _ENDS))

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        np.save(folder / _IDS, self.ids)
        np.save(folder / _ENDS, self._ends)

    def __len__(self) -> int:
        """Return the number of reviews."""
        return len(self._ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ids of each review, int64 [reviews]."""
        lengths: NDArray[np.int64] = self._ends - self._starts
        return lengths

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        """Return the ids of a review, int32 [ids]."""
        return self.ids[self._starts[index] : self._ends[index]]

    def join(self, indices: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return the ids of some reviews one after the other, int32 [ids]."""
        return np.concatenate([self[index] for index in indices])

    def pad(self, indices: NDArray[np.intp], length: int, padding_id: int) -> NDArray[np.int32]:
        """Return the last ids of some reviews, padded on the left, int32 [indices, length]."""
        return pad_left([self[index] for index in indices], length, padding_id)


@dataclass(frozen=True)
class Reviews:
    """All coded reviews, uncut, the labelled ones first.

    `labels` are those of the labelled ones, float32. `kept` are the numbers of the labelled ones that are trained on,
    `held_out` those of the others.
    """

    codec: ReviewCodec
    corpus: Corpus
    labels: NDArray[np.float32]
    kept: NDArray[np.intp]
    held_out: NDArray[np.intp]

    @property
    def unlabelled(self) -> NDArray[np.intp]:
        """Numbers of the reviews without labels."""
        return np.arange(len(self.labels), len(self.corpus))

    def split(self, folds: int) -> list[NDArray[np.intp]]:
        """Return the numbers of the labelled reviews that are trained on in stratified folds.

        These are contiguous: reviews of a film, whose numbers follow one another, are in one but for those at its ends.
        """
        parts = [np.array_split(self.kept[self.labels[self.kept] == label], folds) for label in (0, 1)]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def label(self, left_out: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the given labels, float32 [reviews], `UNLABELLED` for reviews left out and for those without."""
        labels = np.full(len(self.corpus), UNLABELLED, np.float32)
        labels[self.kept] = self.labels[self.kept]
        labels[left_out] = UNLABELLED
        return labels

    def mix_labels(self, answers: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
        """Return the labels of all reviews that are not held out, which are `UNLABELLED`, float32 [reviews].

        They are `answers`, probabilities of positive, float32 [reviews]; a given label has this weight beside them.
        """
        labels = answers.copy()
        labels[self.kept] += weight * (self.labels[self.kept] - labels[self.kept])
        labels[self.held_out] = UNLABELLED
        return labels

    def take_not_held_out(self) -> Corpus:
        """Return all reviews that are not held out."""
        return Corpus.of(self.corpus[k] for k in [*self.kept, *self.unlabelled])

    def count_words(self) -> NDArray[np.int64]:
        """Return how often each word is in the reviews that are not held out, int64 [words]."""
        counts, held_out = (
            np.bincount(ids, minlength=self.codec.preprocessing.vocabulary_size)
            for ids in (self.corpus.ids, self.corpus.join(self.held_out))
        )
        return counts - held_out

    def measure(self, answers: NDArray[np.float32]) -> dict[str, float]:
        """Return accuracy and loss on the held-out reviews, for the probabilities of all, float32 [reviews]."""
        margins = to_margins(answers[self.held_out], self.labels[self.held_out])
        return {
            "held_out_accuracy": float(np.mean(margins > 0)),
            "held_out_loss": float(np.logaddexp(0, -margins).mean()),
        }
