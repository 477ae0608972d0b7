"""The figures of a classifier on the suites."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.imdb import Review
from training.evaluation.analysis import Answer
from training.evaluation.calibration import calibration_error
from training.wild.changes import list_changes
from training.wild.fairness import Spread, make_probes
from training.wild.suites import LENGTH, Suite, make_composed, make_pairs

COVERAGES = (0.5, 0.7, 0.9)

WORDS_OF_NARRATION = 300
NARRATION = f"turned by {WORDS_OF_NARRATION} words of narration"
NARRATED_REVIEWS = 1000  # of each label
PASSAGES = Path(__file__).parents[1] / "data" / "probes" / "narration.txt"


def measure(answer: Answer, reviews: Sequence[Review] = (), suites: Sequence[Suite] = ()) -> dict[str, float]:
    """Return all figures of a classifier, shares by name.

    Args:
        answer: the classifier.
        reviews: film reviews for those measures that need some; without any these are left out.
        suites: further texts.
    """
    pairs = make_pairs("report")
    figures: dict[str, float] = {}
    for suite in (pairs, make_composed(), *suites):
        figures |= measure_suite(suite, answer)
    figures |= measure_changes(pairs, answer)
    if reviews:
        chosen = [review.text for label in (0, 1) for review in _take(reviews, label)]
        figures |= measure_narration(chosen, PASSAGES.read_text("utf-8").splitlines(), answer)
    return figures | measure_fairness(answer)


def measure_suite(suite: Suite, answer: Answer) -> dict[str, float]:
    """Return a classifier's figures on a suite.

    They are the accuracy, as a whole, by group and on the surest answers; the share of pairs with both texts right; and
    the calibration error, as a whole and by length. A text without a verdict (NaN) is answered wrongly.
    """
    answers = np.asarray(answer([example.text for example in suite.examples]), np.float64)
    labels = np.array([example.is_positive for example in suite.examples])
    right = np.where(np.isnan(answers), False, (answers >= 0.5) == labels)
    confidence = np.nan_to_num(np.maximum(answers, 1 - answers), nan=0.5)
    figures = {suite.name: float(right.mean())}
    if suite.pairs:
        figures[f"{suite.name}, both of a pair"] = float(np.mean([right[list(pair)].all() for pair in suite.pairs]))
    figures[f"{suite.name}, calibration error"] = calibration_error(confidence, right)
    groups = [frozenset(example.groups) for example in suite.examples]
    for group in sorted(frozenset[str]().union(*groups)):
        members = np.array([group in each for each in groups])
        figures[f"{suite.name}, {group}"] = float(right[members].mean())
        if group.startswith(LENGTH):
            error = calibration_error(confidence[members], right[members])
            figures[f"{suite.name}, {group}, calibration error"] = error
    surest = np.argsort(-confidence, kind="stable")
    for coverage in COVERAGES:
        kept = surest[: round(coverage * len(surest))]
        figures[f"{suite.name}, the surest {coverage:.0%}"] = float(right[kept].mean())
    return figures


def measure_changes(suite: Suite, answer: Answer) -> dict[str, float]:
    """Return the share of the texts of a suite whose verdict each change turns."""
    texts = [example.text for example in suite.examples]
    before = np.asarray(answer(texts)) >= 0.5
    return {
        f"turned by {name}": float(np.mean((np.asarray(answer([change(text) for text in texts])) >= 0.5) != before))
        for name, change in list_changes().items()
    }


def measure_narration(reviews: Sequence[str], passages: Sequence[str], answer: Answer) -> dict[str, float]:
    """Return the share of reviews whose verdict is turned by neutral narration behind them."""
    before = np.asarray(answer(reviews)) >= 0.5
    behind = [f"{review} {_join(passages, number)}" for number, review in enumerate(reviews)]
    turned = float(np.mean((np.asarray(answer(behind)) >= 0.5) != before))
    return {NARRATION: turned}


def _join(passages: Sequence[str], number: int) -> str:
    """Return the words of narration for a review."""
    words: list[str] = []
    while len(words) < WORDS_OF_NARRATION:
        words += passages[number % len(passages)].split()
        number += 1
    return " ".join(words[:WORDS_OF_NARRATION])


def _take(reviews: Sequence[Review], label: int) -> Sequence[Review]:
    """Return some reviews of a label, evenly over all of them."""
    members = [review for review in reviews if review.label == label]
    return members[:: max(1, len(members) // NARRATED_REVIEWS)][:NARRATED_REVIEWS]


def measure_fairness(answer: Answer) -> dict[str, float]:
    """Return how far the answers move when only a name, a nationality, a faith or a gender changes."""
    figures = {}
    for probe in make_probes():
        flat = np.asarray(answer([text for row in probe.texts for text in row]), np.float64)
        answers: NDArray[np.float64] = np.nan_to_num(flat, nan=0.5).reshape(len(probe.texts), len(probe.terms))
        spread = Spread.of(answers)
        figures[f"fairness, {probe.group}: range"] = spread.mean
        figures[f"fairness, {probe.group}: verdict changes"] = spread.changed
    return figures
