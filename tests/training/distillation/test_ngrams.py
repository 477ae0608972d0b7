from typing import Any

import numpy as np
import pytest

from training.distillation.ngrams import soft_label
from training.errors import DataError
from training.recipes.staged import NgramSettings

GOOD = ["a good film", "good and good again", "really good film", "very good"]
BAD = ["a bad film", "bad and bad again", "really bad film", "very bad"]
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.int32)


def label(unlabelled: list[str], **changes: Any) -> list[float]:
    probabilities = soft_label(NgramSettings(**changes), str.split, GOOD + BAD, LABELS, unlabelled, 1)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(unlabelled),)
    return [float(probability) for probability in probabilities]


def test_texts_are_labelled_by_their_words() -> None:
    good, bad, both, neither = label(["so good", "so bad", "good bad", "nothing known"])
    assert bad < 0.3 < both < 0.7 < good
    assert neither == pytest.approx(0.5, abs=0.01)
    assert good + bad == pytest.approx(1, abs=0.01)


def test_words_in_a_row_count() -> None:
    labelled = ["not good", "not good", "good not", "good not"]
    labels = np.array([0, 0, 1, 1], np.int32)
    probabilities = soft_label(NgramSettings(), str.split, labelled, labels, ["not good", "good not"], 1)
    assert probabilities[0] < 0.4 < 0.6 < probabilities[1]


def test_the_longest_n_gram_is_set() -> None:
    labelled = ["a b c", "a b c", "b c a b", "b c a b"]  # only "a b c" tells them apart from "c a b"
    labels = np.array([1, 1, 0, 0], np.int32)

    def find(longest: int) -> list[float]:
        settings = NgramSettings(longest=longest)
        return [float(one) for one in soft_label(settings, str.split, labelled, labels, ["a b x b c", "a b c"], 1)]

    apart, together = find(2)
    assert apart == together
    apart, together = find(3)
    assert apart < together


@pytest.mark.parametrize(("reviews", "counts"), [(1, True), (2, False)])
def test_a_word_of_fewer_reviews_than_set_does_not_count(reviews: int, counts: bool) -> None:
    labelled = ["good once", "good", "bad", "bad"]
    labels = np.array([1, 1, 0, 0], np.int32)
    settings = NgramSettings(fewest_reviews=reviews)
    once, unknown = soft_label(settings, str.split, labelled, labels, ["once", "unknown"], 1)
    assert (once > unknown) == counts
    assert (once == unknown) != counts


def test_less_regularisation_makes_surer_labels() -> None:
    wary, usual, sure = (label(["so good"], c=c)[0] for c in (0.1, 1.0, 10.0))
    assert 0.5 < wary < usual < sure < 1


@pytest.mark.parametrize("labelled", [[], ["good"], ["good", "fine"]], ids=str)
def test_texts_of_one_label_teach_nothing(labelled: list[str]) -> None:
    labels = np.ones(len(labelled), np.int32)
    with pytest.raises(DataError, match=f"^{len(labelled)} training reviews all have one label"):
        soft_label(NgramSettings(), str.split, labelled, labels, ["good"], 1)


@pytest.mark.parametrize("labelled", [["good", "bad"], ["", ""]], ids=str)
def test_texts_that_have_nothing_in_common_are_too_few(labelled: list[str]) -> None:
    labels = np.array([1, 0][: len(labelled)], np.int32)
    with pytest.raises(DataError, match=f"^{len(labelled)} training reviews are too few to learn labels from"):
        soft_label(NgramSettings(), str.split, labelled, labels, ["good"], 1)


def test_texts_are_split_as_the_caller_says() -> None:
    labelled = ["GOOD-film", "GOOD-story", "bad-film", "bad-story"]
    labels = np.array([1, 1, 0, 0], np.int32)
    good, other = soft_label(NgramSettings(), lambda text: text.split("-"), labelled, labels, ["GOOD-x", "good-x"], 1)
    assert good > 0.6
    assert other == pytest.approx(0.5, abs=0.01)


def test_the_probabilities_are_those_of_a_logistic_regression_on_weighted_words() -> None:
    labelled = ["x", "x", "x y", "y", "y", "y", "x"]
    labels = np.array([1, 1, 1, 0, 0, 1, 0])
    presence = np.array([["x" in text, "y" in text] for text in labelled], float)
    counts = [1 + presence[labels == label].sum(axis=0) for label in (0, 1)]
    ratios = np.log(counts[1] / counts[1].sum()) - np.log(counts[0] / counts[0].sum())
    features = np.column_stack([presence * ratios, np.ones(len(labels))])
    weights = np.zeros(3)
    for _ in range(20_000):  # the weights and the intercept are kept small alike
        weights -= 0.01 * (weights + features.T @ (1 / (1 + np.exp(-features @ weights)) - labels))
    expected = 1 / (1 + np.exp(-np.array([[ratios[0], 0, 1], [0, ratios[1], 1], [*ratios, 1]]) @ weights))
    found = soft_label(NgramSettings(longest=1), str.split, labelled, labels.astype(np.int32), ["x", "y", "y x"], 1)
    np.testing.assert_allclose(found, expected, atol=2e-3)
