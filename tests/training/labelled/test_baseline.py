import numpy as np
import pytest

from training.labelled.baseline import measure_baseline

TEXTS = ["a good film", "a bad film", "good again", "bad again"] * 3
LABELS = np.array([1, 0, 1, 0] * 3, np.int32)


def test_it_learns_words() -> None:
    known = (TEXTS, LABELS)
    found = measure_baseline(known, known, (["very good", "very bad", "good"], np.array([1, 0, 0], np.int32)))
    assert found and found.rows == 12 and found.accuracy == pytest.approx(2 / 3)


def test_it_learns_characters_of_scripts_without_spaces() -> None:
    texts, labels = ["很好看的电影", "不好看的电影"] * 4, np.array([1, 0] * 4, np.int32)
    test = (["电影很好", "电影不好"], np.array([1, 0], np.int32))
    by_character, by_word = (measure_baseline((texts, labels), (texts, labels), test, each) for each in (True, False))
    assert by_character and by_word and by_character.accuracy == 1 > by_word.accuracy


def test_texts_without_words_have_no_baseline() -> None:
    marks = (["!", "?"] * 4, np.array([1, 0] * 4, np.int32))
    assert measure_baseline(marks, marks, marks) is None
