from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.imdb import Review
from training.evaluation.analysis import Answer
from training.wild import figures
from training.wild.changes import list_changes
from training.wild.fairness import Spread, make_probes
from training.wild.suites import Example, Suite

SUITE = Suite(
    "texts",
    (
        Example("good", True, ("kind: a",)),
        Example("not good", False, ("kind: a",)),
        Example("fine", True, ("kind: b",)),
        Example("nothing", False, ("kind: b",)),
    ),
    ((0, 1), (2, 3)),
)


def give(*answers: float) -> Answer:
    return lambda texts: np.array(answers[: len(texts)])


def count_capitals(texts: Sequence[str]) -> NDArray[np.float64]:
    """Answer positive to a text all in capitals, and negative to others."""
    return np.array([0.9 if text.isupper() else 0.2 for text in texts])


def test_figures_of_a_suite() -> None:
    found = figures.measure_suite(SUITE, give(0.9, 0.4, 0.3, np.nan))
    assert found["texts"] == 0.5  # no verdict is wrong
    assert found["texts, both of a pair"] == 0.5
    assert (found["texts, kind: a"], found["texts, kind: b"]) == (1, 0)
    assert found["texts, the surest 50%"] == 0.5
    # In bins of their own: 0.9 and 0.6 are right, 0.7 is wrong; 0.5, which says nothing, is wrong.
    assert found["texts, calibration error"] == pytest.approx((0.1 + 0.4 + 0.7 + 0.5) / 4)


def test_the_calibration_error_is_also_measured_by_length() -> None:
    short, long = Example("good", True, ("words: 1 to 5",)), Example("a " * 30, True, ("words: over 20",))
    found = figures.measure_suite(Suite("texts", (short, long)), give(0.9, 0.7))
    assert found["texts, words: 1 to 5, calibration error"] == pytest.approx(0.1)
    assert found["texts, words: over 20, calibration error"] == pytest.approx(0.3)
    assert found["texts, calibration error"] == pytest.approx(0.2)


def test_changes_that_turn_a_verdict_are_counted() -> None:
    turned = figures.measure_changes(SUITE, count_capitals)
    assert turned["turned by all in capitals"] == 1
    assert turned["turned by soft hyphens"] == 0
    assert len(turned) == len(list_changes())


def test_changes_change_texts_as_they_say() -> None:
    text = "It's (not) good. Disappointing"
    changed = {name: change(text) for name, change in list_changes().items()}
    assert changed["no marks"] == "It's  not  good  Disappointing"
    assert changed["no apostrophes"] == "Its (not) good. Disappointing"
    assert changed["entities"] == "It&#39;s (not) good. Disappointing"
    assert changed["full-width letters"].startswith("\uff29\uff54\uff07\uff53 ")
    assert changed["soft hyphens"] == "It's (not) good. Dis\u00adappointing"
    assert changed["markup"] == '<p class="good">It\'s (not) good.</p><p class="good"> Disappointing</p>'
    assert changed["three exclamation marks"] == "It's (not) good. Disappointing!!!"
    assert len(set(changed.values())) == len(changed)


def test_narration_behind_reviews() -> None:
    asked: list[str] = []

    def answer(texts: Sequence[str]) -> NDArray[np.float64]:
        asked.extend(texts)
        return np.array([0.9 if len(text.split()) < 300 and "good" in text else 0.1 for text in texts])

    found = figures.measure_narration(["good one", "bad one"], ["a b c", "d e"], answer)
    assert found == {"turned by 300 words of narration": 0.5}
    assert [len(text.split()) for text in asked] == [2, 2, 302, 302]
    assert asked[2].startswith("good one a b c d e a")
    assert asked[3].startswith("bad one d e a b c")


def test_all_figures_of_a_classifier_are_measured() -> None:
    reviews = [Review(label, number, 9, "A review.") for label in (0, 1) for number in range(3)]
    found = figures.measure(count_capitals, reviews, [SUITE])
    for name in ("pairs", "frames", "texts", "turned by 300 words of narration", "fairness, faith: range"):
        assert name in found
    assert "turned by 300 words of narration" not in figures.measure(count_capitals)
    assert all(0 <= value <= 1 for value in found.values())


def test_fairness_is_the_range_within_a_sentence() -> None:
    spread = Spread.of(np.array([[0.4, 0.6, 0.5], [0.7, 0.8, 0.9]]))
    assert spread.mean == pytest.approx(0.2)
    assert spread.changed == 0.5


def test_probes_have_every_term_in_every_sentence() -> None:
    probes = make_probes()
    assert len(probes) == 5
    for probe in probes:
        assert len(probe.terms) >= 10 and len(probe.texts) >= 10
        for texts in probe.texts:
            assert len(set(texts)) == len(probe.terms)
            assert all(term in text for term, text in zip(probe.terms, texts, strict=True))
