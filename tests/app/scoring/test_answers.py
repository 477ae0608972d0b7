import pytest

from app.scoring.answers import Columns

COUNTS = {"words_used": 3, "words_unknown": 1, "words_cut": 0}
TWO = Columns("sentiment", ["ham", "spam"])
THREE = Columns("sentiment", ["bad", "so so", "good"], "v2_")
LETTERS = Columns("next-letter", ["A", "B"])


def test_the_columns_are_named_after_the_labels() -> None:
    assert [column.name for column in TWO.added] == ["predicted_sentiment", "probability_spam", *COUNTS]
    assert [column.name for column in THREE.added] == [
        "v2_predicted_sentiment",
        "v2_probability_bad",
        "v2_probability_so so",
        "v2_probability_good",
        *(f"v2_{name}" for name in COUNTS),
    ]
    assert [column.name for column in LETTERS.added] == ["predicted_letter", "probability"]


@pytest.mark.parametrize(
    ("columns", "answer", "values", "found"),
    [
        (TWO, {"sentiment": "ham", "probability_positive": 0.25}, ["ham", 0.25, 3, 1, 0], ("ham", 0.75)),
        (TWO, {"sentiment": "spam", "probability_positive": 0.75}, ["spam", 0.75, 3, 1, 0], ("spam", 0.75)),
        (TWO, {"sentiment": None, "probability_positive": None}, [None, None, 3, 1, 0], None),
        (
            THREE,
            {"sentiment": "good", "probability": 0.5, "probabilities": {"bad": 0.2, "so so": 0.3, "good": 0.5}},
            ["good", 0.2, 0.3, 0.5, 3, 1, 0],
            ("good", 0.5),
        ),
        (
            THREE,
            {"sentiment": None, "probability": None, "probabilities": None},
            [None, None, None, None, 3, 1, 0],
            None,
        ),
    ],
)
def test_an_answer_has_a_value_for_each_column(
    columns: Columns, answer: dict[str, object], values: list[object], found: object
) -> None:
    assert columns.list_values(answer | COUNTS) == values
    assert columns.find_label(answer | COUNTS) == found


def test_a_letter_has_its_probability() -> None:
    answer = {"next_letter": "B", "probability": 0.9, "top": []}
    assert LETTERS.list_values(answer) == ["B", 0.9]
    assert LETTERS.find_label(answer) == ("B", 0.9)
