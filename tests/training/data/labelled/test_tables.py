import gzip
from pathlib import Path

import pytest

from training.data.labelled.source import BadRow, Columns, Row
from training.data.labelled.tables import Table
from training.errors import DataError


def write(tmp_path: Path, content: str | bytes, name: str = "my.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def open_table(path: Path, wanted: Columns | None = None, encoding: str | None = None) -> Table:
    return Table(path, wanted or Columns(), encoding, ",;\t")


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_delimiter_is_found_and_quotes_are_read(tmp_path: Path, delimiter: str, name: str, end: str) -> None:
    lines = [
        delimiter.join(("id", "text", "label")),
        delimiter.join(("7", f'"a ""film""{delimiter}{end} in two lines"', "good")),
        "",
        delimiter.join(("8", "plain", "")),
    ]
    table = open_table(write(tmp_path, end.join(lines)))
    assert list(table.read()) == [
        Row(2, f'a "film"{delimiter}{end} in two lines', "good"),
        Row(5, "plain", ""),
    ]
    assert list(table.read()) == list(table.read())
    assert table.format == f"CSV with the delimiter {name}"
    assert table.columns == Columns("text", "label")


def test_a_tsv_file_has_tabs(tmp_path: Path) -> None:
    table = Table(write(tmp_path, "text\tlabel\na, b; c\t1\n"), Columns(), None, "\t")
    assert list(table.read()) == [Row(2, "a, b; c", "1")]
    assert table.format == "TSV"


def test_a_group_is_read(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, "who,text,label\nanna,nice,1\n"), Columns(group="who"))
    assert list(table.read()) == [Row(2, "nice", "1", "anna")]


def test_packed_and_encoded_files_are_read(tmp_path: Path) -> None:
    content = "text;label\nочень хорошо;1\n"
    packed = open_table(write(tmp_path, gzip.compress(content.encode("utf-8-sig")), "my.csv.gz"))
    assert list(packed.read()) == [Row(2, "очень хорошо", "1")]
    old = open_table(write(tmp_path, content.encode("cp1251")), encoding="cp1251")
    assert list(old.read()) == [Row(2, "очень хорошо", "1")]
    assert (packed.encoding, old.encoding) == ("utf-8", "cp1251")


def test_long_texts_are_read(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, f"text,label\n{'word ' * 50_000},1\n"))
    assert [len(row.text) for row in table.read() if isinstance(row, Row)] == [250_000]


def test_bad_rows_are_given_with_their_first_lines_and_the_others_read(tmp_path: Path) -> None:
    content = b'text,label\ngood,1\na, b,1\nshort\n"two\nlines \xe9",0\n"a" b,1\nbare\rreturn,1\nlast,0\n'
    rows = list(open_table(write(tmp_path, content)).read())
    assert [row.position for row in rows] == [2, 3, 4, 5, 7, 8, 9]
    assert [row for row in rows if isinstance(row, Row)] == [Row(2, "good", "1"), Row(9, "last", "0")]
    reasons = [row.reason for row in rows if isinstance(row, BadRow)]
    for reason, expected in zip(
        reasons,
        (
            "has 3 fields, the header has 2; a text with a comma must be in quotes",
            "has 1 field, the header has 2",
            "is not UTF-8: byte E9 at 7 would be 'é' in Windows-1252",
            "has text after the closing quotation mark",
            "has a carriage return within a field",
        ),
        strict=True,
    ):
        assert reason.startswith(expected)


def test_a_fault_in_a_row_that_has_another_is_not_that_of_the_next_row(tmp_path: Path) -> None:
    rows = list(open_table(write(tmp_path, b'text,label\n"a" \xe9,1\ngood,1\n')).read())
    assert isinstance(rows[0], BadRow) and rows[1:] == [Row(3, "good", "1")]


def test_a_quote_that_is_not_closed_ends_the_reading(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, 'text,label\ngood,1\n"bad,0\nmore,1\n'))
    with pytest.raises(DataError, match=r'my.csv, line 3 has a quotation mark \("\) whose second one is missing'):
        list(table.read())
    table = open_table(write(tmp_path, 'text,label\n"' + "more,1\n" * 2_500_000))
    with pytest.raises(DataError, match=r"my.csv, line 2 has a quotation mark"):
        list(table.read())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\ntext,label\n", "has no header: its first line is empty"),
        (b"A film that I liked,1\nbad,0\n", "no column is named text.*first line looks like data: a header is needed"),
        (b"one,two\nbad,0\n", "no column is named text; .*'one', 'two'$"),
        (b'"text,label\n', "line 1 has a quotation mark"),
        (b'"text"s,label\n', "line 1 has text after the closing"),
        (b"t\xe9xt,label\n", "line 1 is not UTF-8: byte E9"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_table(write(tmp_path, content))
