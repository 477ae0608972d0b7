from pathlib import Path

import pytest

from training.data.labelled.columns import find_columns, looks_like_data
from training.data.labelled.source import Columns
from training.errors import DataError

PATH = Path("my.csv")


@pytest.mark.parametrize(
    ("found", "text", "label"),
    [
        (["text", "label"], "text", "label"),
        (["Review", "Sentiment"], "Review", "Sentiment"),
        (["id", "Title", "Review Text", "Rating"], "Review Text", "Rating"),
        (["polarity", "tweet_text", "date"], "tweet_text", "polarity"),
        (["STARS", "review-body"], "review-body", "STARS"),
    ],
)
def test_columns_are_found_by_their_usual_names(found: list[str], text: str, label: str) -> None:
    assert find_columns(PATH, found, Columns()) == Columns(text, label)


def test_the_named_columns_are_taken_and_the_others_found() -> None:
    found = ["text", "body", "label", "score", "author"]
    assert find_columns(PATH, found, Columns("body", "score", "author")) == Columns("body", "score", "author")
    assert find_columns(PATH, ["text", "review", "label"], Columns(text="review")) == Columns("review", "label")
    assert find_columns(PATH, ["category", "text", "label"], Columns(group="category")) == Columns(
        "text", "label", "category"
    )


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (
            ["a", "label"],
            Columns(),
            "no column is named text; .* --text-column: the columns of my.csv are: 'a', 'label'",
        ),
        (
            ["text", "b"],
            Columns(),
            "no column is named label; .* --label-column: the columns of my.csv are: 'text', 'b'",
        ),
        (["text", "review", "label"], Columns(), "'text', 'review' could all be the texts; .* --text-column"),
        (["text", "label", "stars"], Columns(), "'label', 'stars' could all be the labels; .* --label-column"),
        (
            ["text", "label"],
            Columns(group="user"),
            "there is no column 'user'; the columns of my.csv are: 'text', 'label'",
        ),
        (["text", "label", "text"], Columns(text="text"), "there is several columns 'text'"),
        (["text", "label"], Columns(text="text", label="text"), "different columns, not text, text"),
    ],
)
def test_other_columns_are_refused_with_those_that_there_are(found: list[str], wanted: Columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_columns(PATH, found, wanted)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["text", "label"], False),
        (["Review Text", "how many stars"], False),
        (["a film that I liked", "good"], True),
        (["nice", "1"], True),
        (["nice", "-4.5"], True),
        (["nice", ""], True),
    ],
)
def test_a_first_line_of_texts_or_numbers_looks_like_data(fields: list[str], expected: bool) -> None:
    assert looks_like_data(fields) == expected
