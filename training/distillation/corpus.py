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
        """Take the ids of all reviews, int32 [ids], and the end of each review among them, int64 [reviews]."""
        self.ids = ids
        self._starts = np.concatenate([[0], ends[:-1]])
        self._ends = ends

    @classmethod
    def of(cls, reviews: Iterable[NDArray[np.int32]]) -> Self:
        """Make a corpus from the ids of each review."""
        reviews = list(reviews)
        return cls(np.concatenate(reviews), np.cumsum([len(ids) for ids in reviews]))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the corpus in a folder."""
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
    """All coded reviews, uncut, the labelled reviews first.

    `labels` are the labels of the labelled reviews, float32. `kept` are the numbers of the labelled reviews for
    training, `held_out` the numbers of the other labelled reviews.
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
        """Return the numbers of the labelled training reviews in stratified folds.

        The folds are contiguous. The reviews of one film have successive numbers, so they are in one fold, except for
        films at the edge of a fold.
        """
        parts = [np.array_split(self.kept[self.labels[self.kept] == label], folds) for label in (0, 1)]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def label(self, left_out: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the given labels, float32 [reviews]; `UNLABELLED` for reviews left out or without a label."""
        labels = np.full(len(self.corpus), UNLABELLED, np.float32)
        labels[self.kept] = self.labels[self.kept]
        labels[left_out] = UNLABELLED
        return labels

    def mix_labels(self, answers: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
        """Return the labels of all reviews, float32 [reviews]; held-out reviews are `UNLABELLED`.

        A label is the probability in `answers`, float32 [reviews]; where there is a given label, it is the weighted
        mean of both, with this weight for the given label.
        """
        labels = answers.copy()
        labels[self.kept] += weight * (self.labels[self.kept] - labels[self.kept])
        labels[self.held_out] = UNLABELLED
        return labels

    def take_not_held_out(self) -> Corpus:
        """Return all reviews that are not held out."""
        return Corpus.of(self.corpus[k] for k in [*self.kept, *self.unlabelled])

    def count_words(self) -> NDArray[np.int64]:
        """Return the count of each word in the reviews that are not held out, int64 [words]."""
        counts, held_out = (
            np.bincount(ids, minlength=self.codec.preprocessing.vocabulary_size)
            for ids in (self.corpus.ids, self.corpus.join(self.held_out))
        )
        return counts - held_out

    def measure(self, answers: NDArray[np.float32]) -> dict[str, float]:
        """Return accuracy and loss on the held-out reviews; `answers` are for all reviews, float32 [reviews]."""
        margins = to_margins(answers[self.held_out], self.labels[self.held_out])
        return {
            "held_out_accuracy": float(np.mean(margins > 0)),
            "held_out_loss": float(np.logaddexp(0, -margins).mean()),
        }
