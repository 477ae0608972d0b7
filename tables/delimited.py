"""Tables of delimited fields: CSV and TSV (RFC 4180)."""

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tables.columns import looks_like_data
from tables.encodings import LONGEST, Lines, find_encoding, guess_garbled
from tables.errors import TableError
from tables.inputs import Input
from tables.table import BadRow, Column, Extended, Row, Table, Writer

csv.field_size_limit(LONGEST)  # of the whole process; the default is shorter than a long review

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
DELIMITERS = "".join(_DELIMITERS)
_UNCLOSED = (
    'has a quotation mark (") whose second one is missing; a field in quotes ends with ", and a " within it is doubled'
)
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
        headers = _read_headers(source, encoding, delimiters)
        self.delimiter = max(headers, key=lambda delimiter: len(headers[delimiter]))
        self.header = headers[self.delimiter]
        columns = [field.strip() for field in self.header]
        if not any(columns):
            raise TableError(f"{source.name} has no header: its first line is empty; write one such as text,label")
        kind = "TSV" if delimiters == "\t" else f"CSV with the delimiter {_DELIMITERS[self.delimiter]}"
        suffixes = (".tsv", ".tab") if self.delimiter == "\t" else (".csv",)
        super().__init__(source, kind, columns, encoding, suffixes)
        self.hint = _NO_HEADER if looks_like_data(columns) else ""
        if garbled := guess_garbled(",".join(columns)):
            name, reading = garbled
            self.hint += f"; in the encoding {name} they are {reading!r}: if that is right, add --encoding {name}"

    def read(self, columns: Sequence[str], whole: bool = False) -> Iterator[Row | BadRow]:  # noqa: ARG002
        """Yield the rows: see `Table.read`. A position is the first line of a row.

        Of a row that cannot be split into fields only the first line is bad: it may have a quotation mark whose second
        one is missing, or is that of another row. The next row begins with the next line.
        """
        wanted = [self.columns.index(name) for name in columns]
        with self.source.open() as file:
            lines = Lines(self.source.name, file, self.encoding or "utf-8")
            again = _Again(iter(lines))
            reader = csv.reader(again, delimiter=self.delimiter, strict=True)
            next(reader)
            while True:
                position = again.begin_row()
                try:
                    fields = next(reader, None)
                except csv.Error as error:
                    again.keep_first()
                    reason = _explain(error)
                else:
                    if fields is None:
                        return
                    reason = ""
                    if len(again.taken) > 1 and self._are_rows(again.taken):
                        again.keep_first()
                        reason = _UNCLOSED
                faults = [lines.faults.pop(number) for number in sorted(lines.faults) if number <= again.number]
                if reason := (faults[0] if faults else reason):
                    yield BadRow(position, reason, _join(again.taken))
                elif fields and len(fields) == len(self.header):
                    yield Row(position, tuple(fields[place] for place in wanted), fields)
                elif fields:  # else the line is empty
                    yield BadRow(
                        position,
                        f"has {_count(len(fields))}, the header has {len(self.header)}; "
                        f"a text with a {_DELIMITERS[self.delimiter]} must be in quotes",
                        _join(again.taken),
                    )

    def _are_rows(self, lines: Sequence[str]) -> bool:
        """Return whether the lines of one row are rather a row each, whose quotation marks are part of the text.

        It is known for tabs only, which texts hardly have.
        """
        return self.delimiter == "\t" and all(line.count("\t") == len(self.header) - 1 for line in lines)

    def measure(self, record: Any) -> int:
        """Return the characters of a row: see `Table.measure`."""
        return sum(map(len, record))

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


def _join(lines: Sequence[str]) -> str:
    return "".join(lines).rstrip("\r\n")


class _Again:
    """Lines, of which those of the last row can be read again.

    Attributes:
        number: of the line that was read last.
        taken: the lines of the row.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.number = 0
        self.taken: list[str] = []
        self._lines = lines
        self._again: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line

    def begin_row(self) -> int:
        """Return the number of the first line of the next row."""
        self.taken.clear()
        return self.number + 1

    def keep_first(self) -> None:
        """Go back, so that only the first line of the row has been read."""
        rest = self.taken[1:]
        del self.taken[1:]
        self._again.extendleft(reversed(rest))
        self.number -= len(rest)


def _read_headers(source: Input, encoding: str, delimiters: str) -> dict[str, list[str]]:
    """Return the header by delimiter; without the delimiters that are wrong, because quotes end elsewhere.

    Raises:
        TableError: all are wrong.
    """
    headers: dict[str, list[str]] = {}
    errors = []
    for delimiter in delimiters:
        try:
            headers[delimiter] = _read_header(source, encoding, delimiter)
        except TableError as error:
            errors.append(error)
    if not headers:
        raise errors[0]
    return headers


def _read_header(source: Input, encoding: str, delimiter: str) -> list[str]:
    with source.open_start() as file:
        lines = Lines(source.name, file, encoding)
        try:
            fields: list[str] = next(csv.reader(iter(lines), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise TableError(f"{source.name}, line 1 {_explain(error)}") from error
        if lines.faults:
            raise TableError(f"{source.name}, line 1 {next(iter(lines.faults.values()))}")
        return fields


def _explain(error: csv.Error) -> str:
    """Return why a row cannot be read."""
    reason = str(error)
    if "end of data" in reason or "field limit" in reason:
        return _UNCLOSED
    if "new-line" in reason:
        return "has a carriage return within a field; write the field in quotes, or end lines with a line feed"
    return 'has text after the closing quotation mark of a field; double each " within a field in quotes'


def _count(fields: int) -> str:
    return f"{fields} field{'s' if fields != 1 else ''}"
