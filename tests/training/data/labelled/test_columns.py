from collections.abc import Callable
from pathlib import Path

import pytest

from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import FileInput
from tables.table import Table
from training.data.labelled.columns import find_columns
from training.data.labelled.source import Columns
from training.errors import DataError

Make = Callable[[list[str]], Table]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A function that returns a table with some columns."""
    monkeypatch.chdir(tmp_path)

    def make(columns: list[str]) -> Table:
        Path("my.csv").write_text(",".join(columns))
        return open_table(FileInput(Path("my.csv")))

    return make


@pytest.mark.parametrize(
    ("found", "text", "label"),
    [
        (["text", "label"], "text", "label"),
        (["Review", "Sentiment"], "Review", "Sentiment"),
        (["id", "Title", "Review Text", "Rating"], "Review Text", "Rating"),
        (["polarity", "tweet_text", "date"], "tweet_text", "polarity"),
        (["STARS", "review-body"], "review-body", "STARS"),
        (["№", "Текст", "Метка"], "Текст", "Метка"),
        (["texte", "étiquette"], "texte", "étiquette"),
        (["Kommentar", "Klasse"], "Kommentar", "Klasse"),
        (["reseña", "sentimiento"], "reseña", "sentimiento"),
    ],
)
def test_columns_are_found_by_their_usual_names(make: Make, found: list[str], text: str, label: str) -> None:
    assert find_columns(make(found), Columns()) == Columns(text, label)


def test_the_named_columns_are_taken_and_the_others_found(make: Make) -> None:
    found = ["text", "body", "label", "score", "author"]
    assert find_columns(make(found), Columns("body", "score", "author")) == Columns("body", "score", "author")
    assert find_columns(make(["text", "review", "label"]), Columns(text="review")) == Columns("review", "label")
    assert find_columns(make(["category", "text", "label"]), Columns(group="category")) == Columns(
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
        (["text", "label", "text"], Columns(text="text"), "there are several columns 'text'"),
        (["text", "label"], Columns(group="text"), "'text' is the column of the texts already, "),
        (
            ["text", "label"],
            Columns(group="label"),
            "'label' is the column of the labels already, ",
        ),
        (["text", "label"], Columns(text="text", label="text"), "different columns, not text, text"),
    ],
)
def test_other_columns_are_refused_with_those_that_there_are(
    make: Make, found: list[str], wanted: Columns, message: str
) -> None:
    with pytest.raises((DataError, TableError), match=message):
        find_columns(make(found), wanted)
