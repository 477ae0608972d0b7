"""Coded reviews as arrays on disk, which are mapped into memory as they are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.reviews import ReviewCodec, pad_left, read_vocabulary, write_vocabulary
from training.data import imdb, review_coding
from training.errors import RecipeError
from training.evaluation.calibration import find_temperature, to_margins
from training.recipes.reviews import ReviewSettings

UNLABELLED = -1.0

_IDS = "ids.npy"
_ENDS = "ends.npy"
_VOCABULARY = "vocabulary.txt"
_REVIEWS = "reviews.npz"

_WHOLE = 10_000  # ids; no review is longer, so none is cut


def hold_out(data: imdb.Imdb, settings: ReviewSettings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of the labelled reviews kept for training and of those held out, both rising.

    Raises:
        RecipeError: none is held out.
    """
    kept, held_out = map(np.sort, imdb.hold_out(data.train, settings.validation_share, "last", settings.seed))
    if not len(held_out):
        raise RecipeError(
            f"validation_share={settings.validation_share} of {len(data.train)} reviews holds out none; "
            "set a larger share"
        )
    return kept, held_out


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

    @classmethod
    def code(
        cls,
        data: imdb.Imdb,
        settings: ReviewSettings,
        words: list[str],
        held_out: tuple[NDArray[np.intp], NDArray[np.intp]],
        console: Console,
    ) -> Self:
        """Code all reviews of a dataset, uncut; `held_out` has the numbers kept and held out, as of `hold_out`."""
        codec = review_coding.make_review_codec(settings.model_copy(update={"length": _WHOLE}), words)
        coded = review_coding.code_each(codec, data.training_texts, "Coding the reviews", console)
        return cls(codec, Corpus.of(coded), np.array([review.label for review in data.train], np.float32), *held_out)

    @classmethod
    def open(cls, folder: Path, settings: ReviewSettings) -> Self:
        """Open the reviews in a folder, with the codec of a network."""
        codec = review_coding.make_review_codec(settings, read_vocabulary(folder / _VOCABULARY))
        with np.load(folder / _REVIEWS) as saved:
            return cls(codec, Corpus.open(folder), saved["labels"], saved["kept"], saved["held_out"])

    def save(self, folder: Path) -> None:
        """Write them into a folder."""
        self.corpus.save(folder)
        write_vocabulary(folder / _VOCABULARY, self.codec.vocabulary)
        np.savez(folder / _REVIEWS, labels=self.labels, kept=self.kept, held_out=self.held_out)

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

    def find_temperature(self, answers: NDArray[np.float32]) -> float:
        """Return the best divisor of logits on the held-out reviews; `answers` are for all, float32 [reviews]."""
        return find_temperature(answers[self.held_out], self.labels[self.held_out])

    def measure(self, answers: NDArray[np.float32]) -> dict[str, float]:
        """Return accuracy and loss on the held-out reviews; `answers` are for all reviews, float32 [reviews]."""
        margins = to_margins(answers[self.held_out], self.labels[self.held_out])
        return {
            "held_out_accuracy": float(np.mean(margins > 0)),
            "held_out_loss": float(np.logaddexp(0, -margins).mean()),
        }
