import csv
import gzip
from pathlib import Path
from typing import Literal

import pytest

from tables.delimited import DELIMITERS, Delimited
from tables.errors import TableError
from tables.inputs import FileInput
from tables.table import BadRow, Row


def write(tmp_path: Path, content: str | bytes, name: str = "my.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def open_table(path: Path, encoding: str | None = None) -> Delimited:
    return Delimited(FileInput(path), encoding, DELIMITERS)


def read(table: Delimited, *columns: str) -> list[Row | BadRow]:
    return list(table.read(columns or ("text", "label")))


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")]
)
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
            "is not UTF-8: byte E9 at 7. It would be 'é\",0' in cp1252, ",
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


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("header", [["text", "label"], ["", "text", "label"], ["text of; it, or\tmore|", "label"]])
def test_a_header_may_be_in_quotes(tmp_path: Path, delimiter: str, quoting: Literal[1, 2], header: list[str]) -> None:
    rows = [header, ["1", 'a "film", and; so|', "good"][-len(header) :]]
    with (tmp_path / "my.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(rows)
    table = open_table(tmp_path / "my.csv")
    assert (table.delimiter, table.header) == (delimiter, header)
    assert read(table, "label") == [Row(2, ("good",), rows[1])]
    assert table.hint == "" or "or\tmore" in header[0]


@pytest.mark.parametrize(
    ("name", "content", "bad"),
    [
        ("end of the file", 'text,label\ngood,1\n"bad,0\nmore,1\nlast,0\n', {3}),
        ("another quote", 'text,label\ngood,1\n"bad,0\nmore,1\n"quoted",0\nlast,0\n', {3}),
        ("both", 'text,label\ngood,1\n"bad,0\nmore,1\n"worse,1\nlast,0\n', {3, 5}),
        ("the last line", 'text,label\ngood,1\nmore,1\nlast,0\n"bad,0', {5}),
    ],
)
def test_a_quote_that_is_not_closed_costs_its_line_alone(
    tmp_path: Path, name: str, content: str, bad: set[int]
) -> None:
    del name
    rows = read(open_table(write(tmp_path, content)))
    assert [row.position for row in rows] == [*range(2, len(content.splitlines()) + 1)]
    assert {row.position for row in rows if isinstance(row, BadRow)} == bad
    assert [row.values[0] for row in rows if isinstance(row, Row)][-1] == "last"
    assert any(isinstance(row, BadRow) and row.reason.startswith(("has a quotation mark", "has text")) for row in rows)


def test_a_quote_that_is_not_closed_in_the_longest_text_costs_its_line(tmp_path: Path) -> None:
    first, *rows = read(open_table(write(tmp_path, 'text,label\n"' + ("more " * 1000 + ",1\n") * 3600)))
    assert isinstance(first, BadRow) and first.reason.startswith('has a quotation mark (") whose second one is missing')
    assert len(rows) == 3599 and all(isinstance(row, Row) for row in rows)


def test_faults_of_lines_that_are_read_again_are_told(tmp_path: Path) -> None:
    rows = read(open_table(write(tmp_path, b'text,label\n"open,1\ncaf\xe9,1\ngood,0\n')))
    assert [(row.position, isinstance(row, Row)) for row in rows] == [(2, False), (3, False), (4, True)]
    assert isinstance(rows[1], BadRow) and rows[1].reason.startswith("is not UTF-8")


def test_quotes_of_a_tsv_file_may_be_part_of_its_texts(tmp_path: Path) -> None:
    lines = ['"Great film\t1', "so so\t0", 'no "\t0', '"two\nlines"\t1']
    table = Delimited(FileInput(write(tmp_path, "\n".join(["text\tlabel", *lines]))), None, "\t")
    first, *rows = read(table)
    assert isinstance(first, BadRow) and first.reason.startswith("has a quotation mark")
    assert [row.values for row in rows if isinstance(row, Row)] == [
        ("so so", "0"),
        ('no "', "0"),
        ("two\nlines", "1"),
    ]
    assert [row.position for row in rows] == [3, 4, 5]


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


@pytest.mark.parametrize(("header", "is_data"), [("one,two", False), ("A film that I liked,1", True), ("text,", False)])
def test_a_first_line_that_looks_like_data_is_a_hint(tmp_path: Path, header: str, is_data: bool) -> None:
    assert ("a header is needed" in open_table(write(tmp_path, header)).hint) == is_data


def test_a_header_in_a_wrong_encoding_is_a_hint(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, "текст,метка\n".encode("cp1251")), "cp1252")
    assert table.hint == ("; in the encoding cp1251 they are 'текст,метка': if that is right, add --encoding cp1251")
