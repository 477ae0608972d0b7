from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.imdb import Review
from training.evaluation.analysis import Answer
from training.wild import figures
from training.wild.changes import list_changes
from training.wild.fairness import Spread, make_probes
from training.wild.measured import Figure, Section
from training.wild.suites import Example, Suite

SUITE = Suite(
    "file",
    "/texts.tsv",
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


def group_of(name: str, count: int) -> tuple[Example, ...]:
    return tuple(Example(f"{name} {number}", True, (name,)) for number in range(count))


def show(figure: Figure) -> tuple[float, int]:
    return figure.value, figure.texts


def values(section: Section) -> dict[str, float]:
    return {name: figure.value for name, figure in section.figures.items()}


def test_figures_of_a_suite_in_which_a_text_has_no_verdict() -> None:
    section = figures.measure_texts(SUITE, give(0.9, 0.4, 0.3, np.nan))
    assert (section.kind, section.texts, section.sha256) == ("file", 4, SUITE.sha256)
    found = section.figures
    assert found["right"] == Figure(value=0.5, texts=4)
    assert found["no verdict"] == Figure(value=0.25, texts=4)
    assert show(found["right among answered"]) == pytest.approx((2 / 3, 3))
    assert found["both of a pair"] == Figure(value=0.5, texts=4)
    # In bins of their own: 0.9 and 0.6 are right, 0.7 is wrong.
    assert show(found["calibration error"]) == pytest.approx(((0.1 + 0.4 + 0.7) / 3, 3))
    assert found["the surest 50%"] == Figure(value=0.5, texts=2)
    assert found["the surest 70%"].texts == 3
    assert "the surest 90%" not in found  # a quarter has no answer


def test_no_verdict_is_not_right_about_a_negative_text() -> None:
    suite = Suite("file", "/texts.tsv", (Example("bad", False), Example("awful", False)))
    assert values(figures.measure_texts(suite, give(np.nan, 0.2)))["right"] == 0.5
    assert values(figures.measure_texts(suite, give(np.nan, np.nan))) == {"right": 0, "no verdict": 1}


def test_with_all_texts_answered_there_is_one_share_of_right_ones() -> None:
    found = values(figures.measure_texts(SUITE, give(0.9, 0.4, 0.3, 0.2)))
    assert (found["right"], found["no verdict"]) == (0.75, 0)
    assert "right among answered" not in found


def test_groups_have_their_number_of_texts_and_small_ones_are_left_out() -> None:
    suite = Suite("file", "/texts.tsv", group_of("kind: a", 30) + group_of("kind: b", 29))
    found = figures.measure_texts(suite, lambda texts: np.array([0.9 if "a" in text else 0.1 for text in texts]))
    assert found.figures["kind: a"] == Figure(value=1, texts=30)
    assert "kind: b" not in found.figures


def test_the_calibration_error_is_also_measured_by_length() -> None:
    short, long = group_of("words: 1 to 5", 30), group_of("words: over 20", 40)
    suite = Suite("file", "/texts.tsv", short + long)
    found = figures.measure_texts(suite, give(*[0.9] * 30, *[0.7] * 30, *[np.nan] * 10)).figures
    assert show(found["words: 1 to 5, calibration error"]) == pytest.approx((0.1, 30))
    assert show(found["words: over 20, calibration error"]) == pytest.approx((0.3, 30))
    assert show(found["calibration error"]) == pytest.approx((0.2, 60))
    found = figures.measure_texts(suite, give(*[0.9] * 30, *[0.7] * 29, *[np.nan] * 11)).figures
    assert "words: over 20" in found and "words: over 20, calibration error" not in found


def test_the_record_of_a_training_has_two_shares() -> None:
    assert figures.measure_suite(SUITE, give(0.9, 0.4, 0.3, 0.2)) == {
        "/texts.tsv": 0.75,
        "/texts.tsv, both of a pair": 0.5,
    }
    assert figures.measure_suite(Suite("file", "/texts.tsv", SUITE.examples), give(1, 0, 1, 0)) == {"/texts.tsv": 1}


def test_changes_that_turn_a_verdict_are_counted() -> None:
    turned = figures.measure_changes(SUITE.texts, count_capitals)
    assert turned.figures["all in capitals"] == Figure(value=1, texts=4)
    assert turned.figures["soft hyphens"] == Figure(value=0, texts=4)
    assert len(turned.figures) == len(list_changes())


@pytest.mark.parametrize(("before", "after"), [(0.1, np.nan), (0.9, np.nan), (np.nan, 0.1), (np.nan, 0.9)])
def test_a_verdict_that_goes_or_comes_is_turned(before: float, after: float) -> None:
    def answer(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([after if text.isupper() or len(text) > 300 else before for text in texts])

    turned = values(figures.measure_changes(SUITE.texts, answer))
    assert (turned["all in capitals"], turned["all in lower case"]) == (1, 0)
    assert values(figures.measure_narration(["good", "bad"], ["some words"], answer)) == {"300 words of narration": 1}


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
    assert found.figures == {"300 words of narration": Figure(value=0.5, texts=2)}
    assert [len(text.split()) for text in asked] == [2, 2, 302, 302]
    assert asked[2].startswith("good one a b c d e a")
    assert asked[3].startswith("bad one d e a b c")


def test_the_checksum_of_narration_is_of_the_reviews_and_the_passages() -> None:
    made = [
        figures.measure_narration(reviews, passages, count_capitals).sha256
        for reviews, passages in ((["one"], ["a b"]), (["one"], ["a b"]), (["two"], ["a b"]), (["one"], ["a c"]))
    ]
    assert made[0] == made[1]
    assert len({*made}) == 3


def test_all_figures_of_a_classifier_are_measured_and_each_text_is_asked_once() -> None:
    asked: list[str] = []

    def answer(texts: Sequence[str]) -> NDArray[np.float64]:
        asked.extend(texts)
        return count_capitals(texts)

    reviews = [Review(label, number, 9, f"Review {number} of {label}.") for label in (0, 1) for number in range(3)]
    found = figures.measure(answer, reviews, [SUITE])
    assert [*found.list_sections()] == ["pairs", "frames", "/texts.tsv", "changes", "narration", "fairness"]
    assert len(asked) == len(set(asked))
    figures_found = [figure for section in found.list_sections().values() for figure in section.figures.values()]
    assert all(0 <= figure.value <= 1 for figure in figures_found)
    assert figures.measure(count_capitals).narration is None


def test_fairness_is_the_range_within_a_sentence() -> None:
    spread = Spread.of(np.array([[0.4, 0.6, 0.5], [0.7, 0.8, 0.9]]))
    assert spread.mean == pytest.approx(0.2)
    assert spread.changed == 0.5


def test_in_fairness_no_verdict_is_a_verdict_of_its_own_and_no_part_of_the_range() -> None:
    spread = Spread.of(np.array([[0.4, np.nan, 0.2], [0.1, 0.2, 0.3], [np.nan] * 3]))
    assert spread.mean == pytest.approx((0.2 + 0.2 + 0) / 3)
    assert spread.changed == pytest.approx(1 / 3)


def test_probes_have_every_term_in_every_sentence() -> None:
    probes = make_probes()
    assert len(probes) == 5
    for probe in probes:
        assert len(probe.terms) >= 10 and len(probe.texts) >= 10
        for texts in probe.texts:
            assert len(set(texts)) == len(probe.terms)
            assert all(term in text for term, text in zip(probe.terms, texts, strict=True))
