"""Real reviews to send: of mixed lengths, and of one length with the same total number of words."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.environments import ROOT
from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store
from training.data import imdb
from training.errors import TrainingError

_SEED = 7
COUNT = 2000
ALL = 25_000
_TRIES = 20  # first words to drop, one by one, until a piece of the wanted length is found


@dataclass(frozen=True)
class Texts:
    """Texts to send and their lengths in a bundle's ids."""

    name: str
    texts: tuple[str, ...]
    lengths: tuple[int, ...]

    def describe(self) -> dict[str, float]:
        """Return their number and their lengths, in ids and in characters."""
        return {
            "texts": len(self.texts),
            "mean_ids": round(float(np.mean(self.lengths)), 1),
            "least_ids": min(self.lengths),
            "median_ids": float(np.median(self.lengths)),
            "most_ids": max(self.lengths),
            "mean_characters": round(float(np.mean([len(text) for text in self.texts])), 1),
        }


def open_bundle(name: str) -> tuple[Bundle, ReviewCodec]:
    """Return the latest bundle of a name in this repository, which must be for reviews, and its codec.

    Raises:
        TrainingError: it is for another task.
        BundleError: it cannot be opened.
    """
    bundle = Store(ROOT / "models").open(name)
    if not isinstance(bundle.codec, ReviewCodec):
        raise TrainingError(f"{name} is not a sentiment bundle; pass a sentiment bundle as --bundle")
    return bundle, bundle.codec


def sample(source: Path | None, count: int = COUNT) -> list[str]:
    """Return test reviews in random order, the same reviews every time.

    Raises:
        training.errors.DataError: the dataset is not available.
    """
    reviews = imdb.load(source).test
    return [review.text for review in random.Random(_SEED).sample(reviews, count)]


def mixed_lengths(codec: ReviewCodec, reviews: Sequence[str]) -> Texts:
    """Return the reviews unchanged, with their lengths."""
    return Texts("mixed", tuple(reviews), tuple(len(codec.encode(review).ids) for review in reviews))


def one_length(codec: ReviewCodec, mixed: Texts) -> Texts:
    """Return the same number of texts from real reviews, each with the mean number of ids of the mixed texts.

    Each begins with the first words of a review and continues into the next reviews if that one is too short. A text is
    left out if no cut between words gives the exact length; another is repeated in its place.
    """
    length = round(float(np.mean(mixed.lengths)))
    texts = list(_cut(codec, mixed.texts, length))
    texts += texts[: len(mixed.texts) - len(texts)]
    lengths = tuple(len(codec.encode(text).ids) for text in texts)
    assert len(texts) == len(mixed.texts) and set(lengths) == {length}
    return Texts("one-length", tuple(texts), lengths)


def _cut(codec: ReviewCodec, reviews: Sequence[str], length: int) -> Iterator[str]:
    for at in range(len(reviews)):
        words: list[str] = []
        following = at
        while len(words) < length + _TRIES:
            words += reviews[following % len(reviews)].split()
            following += 1
        pieces = (_cut_end(codec, words[start:], length) for start in range(_TRIES))
        if (piece := next((piece for piece in pieces if piece is not None), None)) is not None:
            yield piece


def _cut_end(codec: ReviewCodec, words: Sequence[str], length: int) -> str | None:
    """Return the first words that together have this length in ids, None if no cut between words gives it."""
    low, high = 1, len(words)
    while low <= high:
        middle = (low + high) // 2
        text = " ".join(words[:middle])
        found = codec.encode(text)
        ids = len(found.ids) + found.words_cut
        if ids == length:
            return text
        low, high = (middle + 1, high) if ids < length else (low, middle - 1)
    return None
