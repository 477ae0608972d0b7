"""Tables of delimited fields: CSV and TSV (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tables.columns import looks_like_data
from tables.encodings import LONGEST, Lines, find_encoding
from tables.errors import TableError
from tables.inputs import Input
from tables.table import BadRow, Column, Extended, Row, Table, Writer

csv.field_size_limit(LONGEST)  # of the whole process; the default is shorter than a long review

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NO_HEADER = "; the first line looks like data: a header is needed, such as text,label"


class Delimited(Table):
    """The rows of a CSV or TSV file with a header. The record of a row is the list of its fields.

    Attributes:
        delimiter: between the fields.
        header: the fields of the header, as they are.
    """

    def __init__(self, source: Input, encoding: str | None, delimiters: str) -> None:
        """Read the header.

        Args:
            source: the input.
            encoding: see `find_encoding`.
            delimiters: those to choose from; the header has most fields with the right one.

        Raises:
            TableError: there is no header, or see `find_encoding`.
        """
        encoding = find_encoding(source, encoding)
        headers = {delimiter: _read_header(source, encoding, delimiter) for delimiter in delimiters}
        self.delimiter = max(headers, key=lambda delimiter: len(headers[delimiter]))
        self.header = headers[self.delimiter]
        columns = [field.strip() for field in self.header]
        if not any(columns):
            raise TableError(f"{source.name} has no header: its first line is empty; write one such as text,label")
        kind = "TSV" if delimiters == "\t" else f"CSV with the delimiter {_DELIMITERS[self.delimiter]}"
        suffixes = (".tsv", ".tab") if self.delimiter == "\t" else (".csv",)
        super().__init__(source, kind, columns, encoding, suffixes)
        self.hint = _NO_HEADER if looks_like_data(columns) else ""

    def read(self, columns: Sequence[str], whole: bool = False) -> Iterator[Row | BadRow]:  # noqa: ARG002
        """Yield the rows: see `Table.read`. A position is the first line of a row."""
        wanted = [self.columns.index(name) for name in columns]
        with self.source.open() as file:
            lines = Lines(self.source.name, file, self.encoding or "utf-8")
            read: list[str] = []  # the lines of the row
            reader = csv.reader(_note(lines, read), delimiter=self.delimiter, strict=True)
            next(reader)
            position = reader.line_num + 1
            while True:
                read.clear()
                try:
                    fields = next(reader, None)
                except csv.Error as error:
                    yield BadRow(position, _explain(self.source.name, position, error), _join(read))
                    lines.faults.clear()
                else:
                    if fields is None:
                        return
                    if lines.faults:
                        yield BadRow(position, _take_first(lines.faults), _join(read))
                    elif len(fields) == len(self.header):
                        yield Row(position, tuple(fields[place] for place in wanted), fields)
                    elif fields:  # else the line is empty
                        yield BadRow(
                            position,
                            f"has {_count(len(fields))}, the header has {len(self.header)}; "
                            f"a text with a {_DELIMITERS[self.delimiter]} must be in quotes",
                            _join(read),
                        )
                position = reader.line_num + 1

    def show(self, record: Any) -> str:
        """Return a row as text: see `Table.show`."""
        return _write([record], self.delimiter).removesuffix("\n")

    def make_writer(self, added: Sequence[Column]) -> Writer:
        """Return what writes the rows in UTF-8: see `Table.make_writer`."""
        return _DelimitedWriter(self, added)


class _DelimitedWriter(Writer):
    def __init__(self, table: Delimited, added: Sequence[Column]) -> None:
        self._delimiter = table.delimiter
        self._header = [*table.header, *(column.name for column in added)]

    def begin(self) -> bytes:
        return _write([self._header], self._delimiter).encode()

    def encode(self, rows: Sequence[Extended]) -> bytes:
        return _write(([*row.record, *row.added] for row in rows), self._delimiter).encode()


def _write(rows: Iterable[list[Any]], delimiter: str) -> str:
    text = io.StringIO()
    plain, quoted = (
        csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        # A carriage return must be in quotes, and the module sees to that only if it ends lines, too.
        has_return = any(isinstance(field, str) and "\r" in field for field in row)
        (quoted if has_return else plain).writerow(row)
    return text.getvalue()


def _note(lines: Iterable[str], read: list[str]) -> Iterator[str]:
    for line in lines:
        read.append(line)
        yield line


def _join(lines: Sequence[str]) -> str:
    return "".join(lines).rstrip("\r\n")


def _read_header(source: Input, encoding: str, delimiter: str) -> list[str]:
    with source.open_start() as file:
        lines = Lines(source.name, file, encoding)
        try:
            fields: list[str] = next(csv.reader(iter(lines), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise TableError(f"{source.name}, line 1 {_explain(source.name, 1, error)}") from error
        if lines.faults:
            raise TableError(f"{source.name}, line 1 {_take_first(lines.faults)}")
        return fields


def _explain(name: str, position: int, error: csv.Error) -> str:
    """Return why a row cannot be read.

    Raises:
        TableError: nothing after it can be read either.
    """
    reason = str(error)
    if "end of data" in reason or "field limit" in reason:
        raise TableError(
            f'{name}, line {position} has a quotation mark (") whose second one is missing, so nothing from there on '
            'can be read as rows; correct that line: a field in quotes ends with ", and a " within it is doubled'
        ) from error
    if "new-line" in reason:
        return "has a carriage return within a field; write the field in quotes, or end lines with a line feed"
    return 'has text after the closing quotation mark of a field; double each " within a field in quotes'


def _take_first(faults: dict[int, str]) -> str:
    """Return the first fault, and take all out."""
    reason = next(iter(faults.values()))
    faults.clear()
    return reason


def _count(fields: int) -> str:
    return f"{fields} field{'s' if fields != 1 else ''}"
