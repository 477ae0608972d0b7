import numpy as np
import pytest

from training.ngrams import soft_label

GOOD = ["a good film", "good and good again", "really good film", "very good"]
BAD = ["a bad film", "bad and bad again", "really bad film", "very bad"]
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.int32)


def label(unlabelled: list[str], seed: int = 1) -> list[float]:
    probabilities = soft_label(str.split, GOOD + BAD, LABELS, unlabelled, seed)
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
    probabilities = soft_label(str.split, labelled, np.array([0, 0, 1, 1], np.int32), ["not good", "good not"], 1)
    assert probabilities[0] < 0.4 < 0.6 < probabilities[1]


def test_a_word_of_one_review_does_not_count() -> None:
    labelled = ["good once", "good", "bad", "bad"]
    once, unknown = soft_label(str.split, labelled, np.array([1, 1, 0, 0], np.int32), ["once", "unknown"], 1)
    assert once == unknown


def test_texts_are_split_as_the_caller_says() -> None:
    labelled = ["GOOD-film", "GOOD-story", "bad-film", "bad-story"]
    labels = np.array([1, 1, 0, 0], np.int32)
    good, other = soft_label(lambda text: text.split("-"), labelled, labels, ["GOOD-x", "good-x"], 1)
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
    found = soft_label(str.split, labelled, labels.astype(np.int32), ["x", "y", "y x"], 1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_seed_decides() -> None:
    assert label(["so good", "so bad"], seed=1) == label(["so good", "so bad"], seed=1)
