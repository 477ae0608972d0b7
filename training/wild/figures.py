"""The figures of a classifier on the suites."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.imdb import Review
from training.evaluation.analysis import Answer, find_verdicts
from training.evaluation.calibration import calibration_error
from training.wild.changes import list_changes
from training.wild.fairness import Spread, make_probes
from training.wild.measured import Figure, Kind, Measured, Section, hash_rows
from training.wild.suites import LENGTH, Suite, make_composed, make_pairs

# The names of figures.
RIGHT = "right"
ANSWERED = "right among answered"
NO_VERDICT = "no verdict"
BOTH = "both of a pair"
CALIBRATION = "calibration error"

COVERAGES = (0.5, 0.7, 0.9)
LEAST = 30  # texts of a group; the share of fewer is mostly chance

WORDS_OF_NARRATION = 300
NARRATION = f"{WORDS_OF_NARRATION} words of narration"
NARRATED_REVIEWS = 1000  # of each label
PASSAGES = Path(__file__).parents[1] / "data" / "probes" / "narration.txt"


def measure(answer: Answer, reviews: Sequence[Review] = (), suites: Sequence[Suite] = ()) -> Measured:
    """Return all figures of a classifier, which is asked about each text once.

    Args:
        answer: the classifier.
        reviews: film reviews for the narration behind them; without any this section is left out.
        suites: further texts.
    """
    answer = _remember(answer)
    pairs = make_pairs("report")
    narrated = [review.text for label in (0, 1) for review in _take(reviews, label)]
    return Measured(
        suites={suite.name: measure_texts(suite, answer) for suite in (pairs, make_composed(), *suites)},
        changes=measure_changes(pairs.texts, answer),
        narration=measure_narration(narrated, PASSAGES.read_text("utf-8").splitlines(), answer) if narrated else None,
        fairness=measure_fairness(answer),
    )


def measure_texts(suite: Suite, answer: Answer) -> Section:
    """Return a classifier's figures on a suite.

    They are the shares of texts that are right and without a verdict (NaN); right among the answered ones if there are
    others; the share of pairs with both texts right; the calibration error of the answers; the accuracy by group, and
    by length also the calibration error; the accuracy on the surest answers. Groups of fewer than 30 texts are left
    out. So are the surest 90 % if fewer texts have an answer.
    """
    answers = np.asarray(answer(suite.texts), np.float64)
    right = find_verdicts(answers) == np.array([example.is_positive for example in suite.examples])
    answered = ~np.isnan(answers)
    confidence = np.maximum(answers, 1 - answers)
    figures = {RIGHT: _share(right), NO_VERDICT: _share(~answered)}
    if answered.any() and not answered.all():
        figures[ANSWERED] = _share(right[answered])
    if suite.pairs:
        both = np.mean([right[list(pair)].all() for pair in suite.pairs])
        figures[BOTH] = Figure(value=float(both), texts=2 * len(suite.pairs))
    if answered.any():
        figures[CALIBRATION] = _measure_calibration(confidence, right, answered)
    for group, members in _find_groups(suite):
        figures[group] = _share(right[members])
        if group.startswith(LENGTH) and np.sum(members & answered) >= LEAST:
            figures[f"{group}, {CALIBRATION}"] = _measure_calibration(confidence, right, members & answered)
    surest = np.argsort(np.where(answered, -confidence, np.inf), kind="stable")
    for coverage in COVERAGES:
        count = round(coverage * len(surest))
        if 0 < count <= answered.sum():
            figures[name_coverage(coverage)] = _share(right[surest[:count]])
    return Section(kind=suite.kind, sha256=suite.sha256, texts=len(answers), figures=figures)


def measure_suite(suite: Suite, answer: Answer) -> dict[str, float]:
    """Return the share of texts that are right and of pairs with both right, for the record of a training."""
    found = measure_texts(suite, answer).figures
    names = {suite.name: RIGHT, f"{suite.name}, {BOTH}": BOTH}
    return {name: found[figure].value for name, figure in names.items() if figure in found}


def name_coverage(coverage: float) -> str:
    """Return the name of the accuracy on a share of the texts, those with the surest answers."""
    return f"the surest {coverage:.0%}"


def measure_changes(texts: Sequence[str], answer: Answer) -> Section:
    """Return the shares of texts whose verdict each change turns, also to no verdict or from none."""
    changed = {name: [change(text) for text in texts] for name, change in list_changes().items()}
    return _measure_turned("changes", texts, changed, answer)


def measure_narration(reviews: Sequence[str], passages: Sequence[str], answer: Answer) -> Section:
    """Return the same for neutral narration behind reviews."""
    behind = [f"{review} {_join(passages, number)}" for number, review in enumerate(reviews)]
    return _measure_turned("narration", reviews, {NARRATION: behind}, answer)


def measure_fairness(answer: Answer) -> Section:
    """Return how far the answers move when only a name, a nationality, a faith or a gender changes."""
    probes = make_probes()
    figures = {}
    for probe in probes:
        texts = [text for row in probe.texts for text in row]
        answers = np.asarray(answer(texts), np.float64).reshape(len(probe.texts), len(probe.terms))
        spread = Spread.of(answers)
        figures[f"{probe.group}: range"] = Figure(value=spread.mean, texts=len(texts))
        figures[f"{probe.group}: verdict changes"] = Figure(value=spread.changed, texts=len(texts))
    count = sum(len(row) for probe in probes for row in probe.texts)
    return Section(kind="fairness", sha256=hash_rows([probe.texts for probe in probes]), texts=count, figures=figures)


def _measure_turned(kind: Kind, texts: Sequence[str], changed: dict[str, list[str]], answer: Answer) -> Section:
    before = find_verdicts(np.asarray(answer(texts)))
    figures = {name: _share(find_verdicts(np.asarray(answer(new))) != before) for name, new in changed.items()}
    return Section(kind=kind, sha256=hash_rows([list(texts), changed]), texts=len(texts), figures=figures)


def _remember(answer: Answer) -> Answer:
    """Return a classifier that asks another about each text once."""
    known: dict[str, float] = {}

    def remember(texts: Sequence[str]) -> NDArray[np.floating]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, np.asarray(answer(new), np.float64).tolist(), strict=True))
        return np.array([known[text] for text in texts])

    return remember


def _find_groups(suite: Suite) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name and the members of each group that is large enough."""
    groups = [frozenset(example.groups) for example in suite.examples]
    for group in sorted(frozenset[str]().union(*groups)):
        members = np.array([group in each for each in groups])
        if members.sum() >= LEAST:
            yield group, members


def _share(these: NDArray[np.bool_]) -> Figure:
    return Figure(value=float(these.mean()), texts=len(these))


def _measure_calibration(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], members: NDArray[np.bool_]
) -> Figure:
    return Figure(value=calibration_error(confidence[members], right[members]), texts=int(members.sum()))


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
