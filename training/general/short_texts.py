"""The short texts that people, authors and frames have judged, ratings, and numbers that are none."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from training.data.composed import compose
from training.data.pairs import Group
from training.data.phrases import Phrases
from training.data.ratings import list_numbers, list_ratings
from training.data.treebank import TARGETS, Treebank
from training.recipes.general import ShortTextSettings

# The probability of positive of the texts of a pair.
PAIR_TARGETS = {"positive": 0.98, "negative": 0.02, "neutral": 0.5}

_NUMBER_COPIES = 2  # version 8, which learnt ratings only, took every number for a rating


@dataclass(frozen=True)
class ShortTexts:
    """Texts and their probabilities of positive, float32 [texts].

    `parts` is the number of texts, at the beginning, that are parts of later ones.
    """

    texts: list[str]
    targets: NDArray[np.float32]
    parts: int = 0

    @classmethod
    def of(cls, judged: Iterable[tuple[str, float]], parts: int = 0) -> "ShortTexts":
        """Make them from texts with their probabilities."""
        texts, targets = zip(*judged, strict=True)
        return cls(list(texts), np.array(targets, np.float32), parts)

    @property
    def whole(self) -> list[str]:
        """The texts that are no parts of others, each once."""
        return list(dict.fromkeys(self.texts[self.parts :]))

    def hash(self) -> str:
        """Return the SHA-256 of texts and probabilities."""
        digest = hashlib.sha256(self.targets.tobytes())
        digest.update("\n".join(self.texts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def collect(
    settings: ShortTextSettings,
    treebank: Treebank,
    own: Phrases,
    groups: Sequence[Group],
    random: np.random.Generator,
) -> ShortTexts:
    """Return the treebank's phrases and sentences, the user's own, ratings, numbers, pairs and composed sentences."""
    phrases = list(_judge_phrases(treebank))
    sentences = [*_judge_sentences(treebank), *own.judged] * settings.treebank_copies
    paired = list(_judge_pairs(groups)) * settings.pair_copies
    composed = islice(compose("train", random), settings.composed)
    return ShortTexts.of(
        [
            *phrases,
            *sentences,
            *list_ratings(),
            *list(list_numbers()) * _NUMBER_COPIES,
            *paired,
            *((sentence.text, sentence.target) for pair in composed for sentence in pair),
        ],
        parts=len(phrases),
    )


def _judge_sentences(treebank: Treebank) -> Iterator[tuple[str, float]]:
    for phrases in treebank.train:
        yield phrases[-1].text, TARGETS[phrases[-1].label]


def _judge_phrases(treebank: Treebank) -> Iterator[tuple[str, float]]:
    """Yield each phrase of two words or more once, with the mean of its labels."""
    found: dict[str, list[float]] = {}
    for phrases in treebank.train:
        for phrase in phrases:
            if phrase.words > 1:
                found.setdefault(phrase.text, []).append(TARGETS[phrase.label])
    for text, targets in found.items():
        yield text, float(np.mean(targets))


def _judge_pairs(groups: Sequence[Group]) -> Iterator[tuple[str, float]]:
    for group in groups:
        for side, target in PAIR_TARGETS.items():
            if text := getattr(group, side):
                yield text, target
