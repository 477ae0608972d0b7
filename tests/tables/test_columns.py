import io

import pytest

from tables.columns import TEXT_NAMES, check_columns, find_column, looks_like_data
from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import PipeInput
from tables.table import Table


def make(header: str) -> Table:
    return open_table(PipeInput(io.BufferedReader(io.BytesIO(header.encode())), "my.csv"))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("id,Review Text", "Review Text"),
        ("tweet_text,date", "tweet_text"),
        ("text,body", "body"),
        ("id,Текст", "Текст"),
        ("id,Kommentar", "Kommentar"),
        ("id,resena", "resena"),
    ],
)
def test_a_column_is_found_by_its_usual_names(header: str, found: str) -> None:
    assert find_column(make(header), "text", TEXT_NAMES, {"label": "text", "group": None}) == found


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("a,b", "no column is named text; name the right one with --text-column: the columns of my.csv are: 'a', 'b'$"),
        ("text,review", "'text', 'review' could all be the texts; name the right one with --text-column"),
        ("A film that I liked,1", "no column is named text.*the first line looks like data: a header is needed"),
    ],
)
def test_without_one_column_of_a_usual_name_they_are_listed(header: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        find_column(make(header), "text", TEXT_NAMES)


def test_a_column_that_has_something_else_already_is_named() -> None:
    with pytest.raises(
        TableError,
        match="'text' is the column of the texts already, so it cannot be that of the groups too; name another one "
        "with --group-column, or with --text-column: the columns of my.csv are: 'text', 'label'",
    ):
        find_column(make("text,label"), "text", TEXT_NAMES, {"label": None, "group": "text"})


def test_columns_that_are_not_there_once_are_refused() -> None:
    check_columns(make("a,b,b"), ["a"])
    with pytest.raises(TableError, match="there is no column 'c'; the columns of my.csv are: 'a', 'b', 'b'"):
        check_columns(make("a,b,b"), ["a", "c"])
    with pytest.raises(TableError, match="there are several columns 'b'; rename all but one; the columns"):
        check_columns(make("a,b,b"), ["b"])


def test_long_names_and_many_are_clipped() -> None:
    for header in ("x" * 900_000, ",".join(f"column{n}" for n in range(10_000))):
        with pytest.raises(TableError) as raised:
            find_column(make(header), "text", TEXT_NAMES)
        assert len(str(raised.value)) < 600
    assert str(raised.value).endswith(" and 9,980 more")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["text", "label"], False),
        (["Review Text", "how many stars"], False),
        (["a film that I liked", "good"], True),
        (["nice", "1"], True),
        (["nice", "-4.5"], True),
        (["", "text", "label"], False),
        (["text", ""], False),
    ],
)
def test_a_first_line_of_texts_or_numbers_looks_like_data(fields: list[str], expected: bool) -> None:
    assert looks_like_data(fields) == expected
