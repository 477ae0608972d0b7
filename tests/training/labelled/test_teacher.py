import numpy as np
import pytest
from numpy.typing import NDArray

from training.labelled import teacher
from training.recipes.staged import NgramSettings

TEXTS = ["a good film", "good again", "a bad film", "bad again", "a wooden film", "wooden again"]


def label(count: int) -> NDArray[np.float32]:
    labels = np.repeat(np.arange(3, dtype=np.int32), 2)[: 2 * count]
    texts = TEXTS[: 2 * count]
    asked = ["so good", "so bad", "so wooden"][:count]
    return teacher.label(NgramSettings(), str.split, texts, labels, asked, 1)


def test_of_two_labels_it_answers_the_probability_of_the_second() -> None:
    good, bad = label(2)[:, 0]
    assert good < 0.4 and bad > 0.6


def test_of_more_labels_it_answers_all() -> None:
    for number, row in enumerate(label(3)):
        assert row.sum() == pytest.approx(1, abs=1e-6) and np.argmax(row) == number


def test_a_text_is_judged_by_the_others() -> None:
    texts = [f"a {word} film {number}" for number in range(8) for word in ("good", "bad")]
    labels = np.tile(np.array([1, 0], np.int32), 8)
    wrong = labels.copy()
    wrong[0] = 0  # what one text is labelled does not teach how it is judged
    found = teacher.label_unseen(NgramSettings(), str.split, texts, wrong, 1)
    assert found.shape == (16, 1) and found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0] > 0.5, labels == 1)
    three = teacher.label_unseen(
        NgramSettings(), str.split, TEXTS * 4, np.tile(np.arange(6) // 2, 4).astype(np.int32), 1
    )
    np.testing.assert_array_equal(three.argmax(axis=1), np.tile(np.arange(6) // 2, 4))
