from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.imdb import Imdb, Review
from training.evaluation import analysis
from training.evaluation.evaluate import Evaluation

REVIEWS = (
    Review(0, 3, 2, "bad " * 120),
    Review(0, 4, 1, "bad film, bad plot"),
    Review(1, 5, 9, "good " * 500),
    Review(1, 6, 9, "a good film"),
)

DATA = Imdb((Review(0, 0, 1, "bad film, bad plot\n"),), REVIEWS, ("a good film",), "")


def make_evaluation(*positive: float) -> Evaluation:
    probabilities = np.stack([1 - np.array(positive), positive], axis=1)
    labels = np.array([review.label for review in REVIEWS], np.int32)
    return Evaluation(labels, (probabilities[:, 1] >= 0.5).astype(int), probabilities, {})


def test_accuracy_is_told_by_length_and_by_stars() -> None:
    evaluation = make_evaluation(0.9, 0.2, 0.8, 0.9)
    assert analysis.by_length([review.text for review in REVIEWS], evaluation) == [
        ("1 to 100 words", 2, 1.0),
        ("101 to 200 words", 1, 0.0),
        ("over 400 words", 1, 1.0),
    ]
    assert analysis.by_stars(REVIEWS, evaluation) == [
        ("1 of 10 stars", 1, 1.0),
        ("2 of 10 stars", 1, 0.0),
        ("9 of 10 stars", 2, 1.0),
    ]


def test_accuracy_is_told_with_and_without_texts_that_training_files_have_too() -> None:
    evaluation = make_evaluation(0.9, 0.2, 0.8, 0.1)
    assert analysis.by_novelty(DATA, evaluation) == [
        ("text in a training file too", 2, 0.5),
        ("text in no training file", 2, 0.5),
    ]
    assert analysis.by_novelty(replace(DATA, train=(), unlabelled=()), evaluation) == []


def test_changed_reviews_are_answered_again() -> None:
    asked: list[Sequence[str]] = []

    def answer(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(texts)
        return np.array(["good" in text for text in texts], np.float32)

    rows = {name: accuracy for name, _, accuracy in analysis.by_change(REVIEWS, answer, 7)}
    first, *_, capitals, lower, tagged = asked
    assert first[0] == " ".join(["bad"] * 20)
    assert rows["the first 20 words"] == 1
    assert capitals[3] == "A GOOD FILM" and rows["all in capitals"] == 0.5
    assert lower[1] == REVIEWS[1].text
    assert tagged[1] == "<p class='x'>bad film, bad plot</p>"


def test_no_verdict_is_neither_positive_nor_negative() -> None:
    np.testing.assert_array_equal(analysis.find_verdicts(np.array([0.5, 0.4, np.nan])), [1, 0, -1])
    rows = analysis.by_change(REVIEWS, lambda texts: np.full(len(texts), np.nan), 7)
    assert {accuracy for _, _, accuracy in rows} == {0}


def test_the_surest_mistakes_come_first() -> None:
    found = analysis.find_mistakes(REVIEWS, make_evaluation(0.7, 0.1, 0.1, 0.6))
    assert [(name, answer) for name, answer, _ in found] == [
        ("test/pos/5_9.txt", "negative"),
        ("test/neg/3_2.txt", "positive"),
    ]
    assert [confidence for *_, confidence in found] == pytest.approx([0.9, 0.7])


def test_a_tenth_of_the_longer_words_have_two_letters_swapped() -> None:
    words = ["wonderful", "bad"] * 2000
    swapped = analysis.swap_letters(" ".join(words), np.random.default_rng(7)).split()
    changed = [(word, found) for word, found in zip(words, swapped, strict=True) if word != found]
    assert 120 < len(changed) < 280
    for word, found in changed:
        assert (found[0], found[-1], sorted(found)) == (word[0], word[-1], sorted(word))


def test_the_tables_have_every_row() -> None:
    text = analysis.describe(DATA, make_evaluation(0.7, 0.1, 0.9, 0.6), lambda texts: np.ones(len(texts)), 7)
    assert "| 9 of 10 stars | 2 | 100.00% |" in text
    assert "| all in lower case | 4 | 50.00% |" in text
    assert "| `test/neg/3_2.txt` | positive | 0.7000 |" in text


def test_the_table_of_labels_has_every_label() -> None:
    evaluation = make_evaluation(0.7, 0.1, 0.9, 0.6)
    text = analysis.describe_labels(evaluation, ("so | so", "*good*", "never"))
    assert "| so \\| so | 2 | 1.0000 | 0.5000 | 0.6667 |" in text
    assert "| \\*good\\* | 2 | 0.6667 | 1.0000 | 0.8000 |" in text
    assert "| never | 0 | - | - | - |" in text


def test_texts_of_any_kind_have_a_table_by_length() -> None:
    text = analysis.describe_texts([review.text for review in REVIEWS], make_evaluation(0.7, 0.1, 0.9, 0.6))
    assert "| 1 to 100 words | 2 | 100.00% |" in text
