"""The rows of a training on the user's texts, and what its card and manifest say of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.data.labelled.languages import is_without_spaces
from training.data.labelled.splits import choose_part
from training.data.labelled.texts import LabelledTexts, Texts
from training.errors import DataError
from training.labelled.baseline import MOST_ROWS, Baseline, measure_baseline
from training.recipes.labelled import LabelledSettings

# A figure of so many rows has a standard error of at most 0.25 %; their padded rows are held in memory.
MOST_TEST_ROWS = 40_000
MOST_VALIDATION_ROWS = 5_000


@dataclass(frozen=True)
class LabelledData:
    """What a card needs.

    Attributes:
        test: the test rows.
        training: labelled rows that the network learnt from; None if they are not known.
        validation: those that decided when to stop; the same.
        by_character: whether words are written without spaces.
        seed: random seed.
    """

    test: Texts
    training: Texts | None
    validation: Texts | None
    by_character: bool
    seed: int

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The test texts."""
        return tuple(self.test.read())

    @cached_property
    def baseline(self) -> Baseline | None:
        """The baseline, trained on the same rows; None if the training rows are not known."""
        if self.training is None or self.validation is None:
            return None
        rows = sample(self.training, MOST_ROWS, self.seed)
        training, validation = ((tuple(part.read()), part.labels) for part in (rows, self.validation))
        return measure_baseline(training, validation, (self.texts, self.test.labels), self.by_character)


@dataclass(frozen=True)
class Parts:
    """The rows of a training: to learn from, to decide when to stop, to be tested on, and those without a label."""

    training: Texts
    validation: Texts
    test: Texts
    unlabelled: Texts


def split(settings: LabelledSettings, texts: LabelledTexts) -> Parts:
    """Return the parts of a user's texts.

    Raises:
        DataError: no row of a label is left to learn from.
    """
    rows = texts.train
    share = min(settings.validation_share, MOST_VALIDATION_ROWS / len(rows))
    held_out = choose_part(rows.units, rows.labels, share, settings.seed)
    training, validation = rows.take(~held_out), rows.take(held_out)
    if len(lacking := set(range(len(texts.labels))) - {*training.labels.tolist()}):
        names = ", ".join(repr(texts.labels[label]) for label in sorted(lacking))
        raise DataError(f"no row of {names} is left to train on; add rows, or choose another seed")
    return Parts(training, validation, sample(texts.test, MOST_TEST_ROWS, settings.seed), texts.unlabelled)


def sample(texts: Texts, most: int, seed: int) -> Texts:
    """Return at most so many rows, at random."""
    if len(texts) <= most:
        return texts
    chosen = np.zeros(len(texts), bool)
    chosen[np.random.default_rng(seed).permutation(len(texts))[:most]] = True
    return texts.take(chosen)


def make_data(settings: LabelledSettings, texts: LabelledTexts, parts: Parts) -> LabelledData:
    """Return what the card of a training needs."""
    by_character = is_without_spaces(texts.description.script)
    return LabelledData(parts.test, parts.training, parts.validation, by_character, settings.seed)


def measure_baseline_of(settings: LabelledSettings, texts: LabelledTexts) -> Baseline | None:
    """Return the baseline of a training on texts; None if they have no words."""
    return make_data(settings, texts, split(settings, texts)).baseline
