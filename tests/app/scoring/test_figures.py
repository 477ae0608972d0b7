import math

import pytest

from app.scoring.answers import Columns
from app.scoring.figures import Counter, Figures, describe

LABELS = ("negative", "positive")
COLUMNS = Columns("sentiment", LABELS)


def count(rows: list[tuple[object, float | None]], labels: tuple[str, ...] = LABELS) -> Figures:
    """Return the figures of rows with labels, and the probability of the second one that was answered."""
    figures = Figures.make(labels)
    counter = Counter(figures, Columns("sentiment", labels))
    for number, (label, second) in enumerate(rows, 2):
        verdict = None if second is None else labels[int(second >= 0.5)]
        counter.add(label, {"sentiment": verdict, "probability_positive": second}, f"my.csv, line {number}")
    return figures


def test_accuracy_confusion_and_calibration_are_counted() -> None:
    figures = count([("positive", 0.9), ("positive", 0.8), ("negative", 0.9), ("negative", 0.3), ("positive", None)])
    assert figures.rows == 5 and figures.accuracy == 3 / 5
    assert figures.confusion == [[1, 1], [0, 2]] and figures.unreadable == [0, 1]
    # 0.9 twice, of which one is right; 0.8 and 0.7 are right.
    assert figures.calibration_error == pytest.approx((abs(1.8 - 1) + 0.2 + 0.3) / 4)
    assert Figures.model_validate_json(figures.model_dump_json()) == figures


def test_the_calibration_error_is_that_of_the_evaluation_of_training() -> None:
    import numpy as np

    from training.evaluation.calibration import calibration_error

    random = np.random.default_rng(1)
    seconds = random.random(500)
    labels = random.random(500) < seconds**2
    figures = count([(LABELS[int(label)], float(second)) for label, second in zip(labels, seconds, strict=True)])
    expected = calibration_error(np.maximum(seconds, 1 - seconds), (seconds >= 0.5) == labels)
    assert figures.calibration_error == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("label", "number"),
    [("Positive ", 1), ("pos", 1), ("1", 1), (1, 1), (1.0, 1), (True, 1), ("NEG", 0), (0, 0), ("no", 0), (False, 0)],
)
def test_labels_of_two_sentiments_have_other_names_too(label: object, number: int) -> None:
    assert count([(label, float(number))]).confusion[number][number] == 1


def test_labels_of_other_models_have_their_own_names_only() -> None:
    figures = count([("Spam", 0.9), ("ham", 0.9), ("1", 0.9), (2.5, 0.1)], ("ham", "spam"))
    assert figures.confusion == [[0, 1], [0, 1]]
    assert figures.other == 2 and figures.first_other == "'1' in my.csv, line 4"


def test_rows_without_a_label_are_not_counted() -> None:
    figures = count([(None, 0.9), ("", 0.9), (" ", 0.9), (math.nan, 0.9)])
    assert (figures.rows, figures.without) == (0, 4)
    assert math.isnan(figures.accuracy) and math.isnan(figures.calibration_error)
    assert [*describe(figures)] == ["labelled rows      0", "4 rows without a label."]


def test_the_figures_are_printed() -> None:
    figures = count([("positive", 0.9), ("negative", 0.9), ("negative", 0.3), ("positive", None), ("meh", 0.5)])
    assert [*describe(figures)] == [
        "labelled rows      4",
        "accuracy           0.5000",
        "calibration error  0.3667 (expected, 15 bins)",
        "In 1 of them the model knows no word; they count as wrong.",
        "1 row with a label that the model does not have, such as 'meh' in my.csv, line 6: not counted; its labels "
        "are: negative, positive",
        "",
        "label       as negative  as positive",
        "negative              1            1",
        "positive              0            1",
        "",
        "probability  rows       mean    right",
        "0.67-0.73    1          0.7000  1.0000",
        "0.87-0.93    2          0.9000  0.5000",
    ]


def test_a_large_confusion_matrix_is_left_out() -> None:
    labels = tuple("ABCDEFGHIJKLM")
    figures = Figures.make(labels)
    Counter(figures, Columns("next-letter", labels)).add("a", {"next_letter": "A", "probability": 0.9}, "")
    assert figures.accuracy == 1
    assert not [line for line in describe(figures) if line.startswith("label ")]
