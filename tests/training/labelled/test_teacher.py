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
