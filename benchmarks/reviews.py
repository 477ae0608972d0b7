"""Real reviews to send: of mixed lengths, and all of one length that costs a model as many words in total."""

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
_TRIES = 20  # first words dropped one by one until a piece of the wanted length begins there


@dataclass(frozen=True)
class Texts:
    """Texts to send and the lengths that a bundle gives them, in ids."""

    name: str
    texts: tuple[str, ...]
    lengths: tuple[int, ...]

    def describe(self) -> dict[str, float]:
        """Return how many there are and how long they are, in ids and in characters."""
        return {
            "texts": len(self.texts),
            "mean_ids": round(float(np.mean(self.lengths)), 1),
            "least_ids": min(self.lengths),
            "median_ids": float(np.median(self.lengths)),
            "most_ids": max(self.lengths),
            "mean_characters": round(float(np.mean([len(text) for text in self.texts])), 1),
        }


def open_bundle(name: str) -> tuple[Bundle, ReviewCodec]:
    """Return the latest bundle of a name among this repository's, which has to be one for reviews, and its codec.

    Raises:
        TrainingError: it is for another task.
        BundleError: it cannot be had.
    """
    bundle = Store(ROOT / "models").open(name)
    if not isinstance(bundle.codec, ReviewCodec):
        raise TrainingError(f"{name} is no sentiment bundle; --bundle takes one that is")
    return bundle, bundle.codec


def sample(source: Path | None, count: int = COUNT) -> list[str]:
    """Return test reviews in random order, the same ones every time.

    Raises:
        training.errors.DataError: the dataset cannot be had.
    """
    reviews = imdb.load(source).test
    return [review.text for review in random.Random(_SEED).sample(reviews, count)]


def mixed_lengths(codec: ReviewCodec, reviews: Sequence[str]) -> Texts:
    """Return the reviews as they are."""
    return Texts("mixed", tuple(reviews), tuple(len(codec.encode(review).ids) for review in reviews))


def one_length(codec: ReviewCodec, mixed: Texts) -> Texts:
    """Return as many texts of real reviews' words, each of as many ids as the mixed ones have in the mean.

    Each begins where a review begins and goes on into the next ones where that is too short. The few where a cut
    between words cannot give the exact length are left out, and others are repeated in their place.
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
    """Return the first of the words that together have the length in ids, None if no cut between words has it."""
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
