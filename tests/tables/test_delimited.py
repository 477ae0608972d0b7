import gzip
from pathlib import Path

import pytest

from tables.delimited import Delimited
from tables.errors import TableError
from tables.inputs import FileInput
from tables.table import BadRow, Row


def write(tmp_path: Path, content: str | bytes, name: str = "my.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def open_table(path: Path, encoding: str | None = None) -> Delimited:
    return Delimited(FileInput(path), encoding, ",;\t")


def read(table: Delimited, *columns: str) -> list[Row | BadRow]:
    return list(table.read(columns or ("text", "label")))


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
    first = f'a "film"{delimiter}{end} in two lines'
    assert read(table) == [
        Row(2, (first, "good"), ["7", first, "good"]),
        Row(5, ("plain", ""), ["8", "plain", ""]),
    ]
    assert read(table) == read(table)
    assert table.format == f"CSV with the delimiter {name}"
    assert table.columns == ("id", "text", "label")


def test_a_tsv_file_has_tabs(tmp_path: Path) -> None:
    table = Delimited(FileInput(write(tmp_path, "text\tlabel\na, b; c\t1\n")), None, "\t")
    assert read(table) == [Row(2, ("a, b; c", "1"), ["a, b; c", "1"])]
    assert table.format == "TSV"


def test_names_are_found_without_the_space_around_them_which_the_header_keeps(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, "who, text ,text\nanna,nice,1\n"))
    assert (table.columns, table.header) == (("who", "text", "text"), ["who", " text ", "text"])
    assert read(table, "who") == [Row(2, ("anna",), ["anna", "nice", "1"])]


def test_packed_and_encoded_files_are_read(tmp_path: Path) -> None:
    content = "text;label\nочень хорошо;1\n"
    packed = open_table(write(tmp_path, gzip.compress(content.encode("utf-8-sig")), "my.csv.gz"))
    assert read(packed, "text") == [Row(2, ("очень хорошо",), ["очень хорошо", "1"])]
    old = open_table(write(tmp_path, content.encode("cp1251")), "cp1251")
    assert read(old) == [Row(2, ("очень хорошо", "1"), ["очень хорошо", "1"])]
    assert (packed.encoding, old.encoding) == ("utf-8", "cp1251")


def test_long_texts_are_read(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, f"text,label\n{'word ' * 50_000},1\n"))
    assert [len(row.values[0]) for row in read(table) if isinstance(row, Row)] == [250_000]


def test_bad_rows_are_given_with_their_first_lines_and_the_others_read(tmp_path: Path) -> None:
    content = b'text,label\ngood,1\na, b,1\nshort\n"two\nlines \xe9",0\n"a" b,1\nbare\rreturn,1\nlast,0\n'
    rows = read(open_table(write(tmp_path, content)))
    assert [row.position for row in rows] == [2, 3, 4, 5, 7, 8, 9]
    assert [row for row in rows if isinstance(row, Row)] == [
        Row(2, ("good", "1"), ["good", "1"]),
        Row(9, ("last", "0"), ["last", "0"]),
    ]
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
    assert [row.shown for row in rows if isinstance(row, BadRow)] == [
        "a, b,1",
        "short",
        '"two\nlines \ufffd",0',
        '"a" b,1',
        "bare\rreturn,1",
    ]


def test_a_fault_in_a_row_that_has_another_is_not_that_of_the_next_row(tmp_path: Path) -> None:
    first, second = read(open_table(write(tmp_path, b'text,label\n"a" \xe9,1\ngood,1\n')))
    assert (
        isinstance(first, BadRow) and first.shown == '"a" \ufffd,1' and second == Row(3, ("good", "1"), ["good", "1"])
    )


def test_a_quote_that_is_not_closed_ends_the_reading(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, 'text,label\ngood,1\n"bad,0\nmore,1\n'))
    with pytest.raises(
        TableError, match=r'my.csv, line 3 has a quotation mark \("\) whose second one is missing, so nothing'
    ):
        read(table)
    table = open_table(write(tmp_path, 'text,label\n"' + "more,1\n" * 2_500_000))
    with pytest.raises(TableError, match=r"my.csv, line 2 has a quotation mark"):
        read(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\ntext,label\n", "has no header: its first line is empty"),
        (b'"text,label\n', "line 1 has a quotation mark"),
        (b'"text"s,label\n', "line 1 has text after the closing"),
        (b"t\xe9xt,label\n", "line 1 is not UTF-8: byte E9"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        open_table(write(tmp_path, content))


@pytest.mark.parametrize(("header", "is_data"), [("one,two", False), ("A film that I liked,1", True), ("text,", True)])
def test_a_first_line_that_looks_like_data_is_a_hint(tmp_path: Path, header: str, is_data: bool) -> None:
    assert ("a header is needed" in open_table(write(tmp_path, header)).hint) == is_data
