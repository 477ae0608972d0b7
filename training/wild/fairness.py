"""Fairness: how far the answer moves when only a name, a nationality, a faith or a gender changes."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.evaluation.analysis import find_verdicts

FOLDER = Path(__file__).parents[1] / "data" / "probes"

_SLOT = "{}"


@dataclass(frozen=True)
class Probe:
    """Terms of one group that are put into the same sentences: `texts[i][j]` has term j in sentence i."""

    group: str
    terms: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Spread:
    """How far the probability of positive moves within the sentences of a probe."""

    mean: float
    changed: float

    @classmethod
    def of(cls, answers: NDArray[np.float64]) -> "Spread":
        """Measure answers, float64 [sentences, terms], by the mean range and by the sentences whose verdict changes.

        No verdict (NaN) counts as a verdict of its own and is no part of the range. Without any answer the range is 0.
        """
        verdicts = find_verdicts(answers)
        highest = np.where(np.isnan(answers), -np.inf, answers).max(axis=1)
        lowest = np.where(np.isnan(answers), np.inf, answers).min(axis=1)
        return cls(
            float(np.mean(np.maximum(highest - lowest, 0))),
            float(np.mean((verdicts != verdicts[:, :1]).any(axis=1))),
        )


def make_probes() -> list[Probe]:
    """Return the probes, from the files of terms and sentences."""
    terms: dict[str, list[str]] = defaultdict(list)
    for group, term in _read(FOLDER / "terms.tsv"):
        terms[group].append(term)
    sentences: dict[str, list[str]] = defaultdict(list)
    for group, sentence in _read(FOLDER / "sentences.tsv"):
        sentences[group].append(sentence)
    return [
        Probe(
            group,
            tuple(found),
            tuple(tuple(sentence.replace(_SLOT, term) for term in found) for sentence in sentences[group]),
        )
        for group, found in terms.items()
    ]


def _read(path: Path) -> Sequence[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
