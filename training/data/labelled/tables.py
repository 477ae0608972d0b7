"""Tables of delimited fields: CSV and TSV (RFC 4180)."""

import csv
from collections.abc import Iterator
from pathlib import Path

from training.data.labelled.columns import find_columns, looks_like_data
from training.data.labelled.encodings import LONGEST, Lines, find_encoding, open_bytes
from training.data.labelled.source import BadRow, Columns, Row, Source
from training.errors import DataError

csv.field_size_limit(LONGEST)  # of the whole process; the default is shorter than a long review

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NO_HEADER = "; the first line looks like data: a header is needed, such as text,label"


class Table(Source):
    """The rows of a CSV or TSV file with a header."""

    def __init__(self, path: Path, wanted: Columns, encoding: str | None, delimiters: str) -> None:
        """Read the header.

        Args:
            path: the file.
            wanted: see `find_columns`.
            encoding: see `find_encoding`.
            delimiters: those to choose from; the header has most fields with the right one.

        Raises:
            DataError: there is no header, or see `find_columns` and `find_encoding`.
        """
        encoding = find_encoding(path, encoding)
        headers = {delimiter: _read_header(path, encoding, delimiter) for delimiter in delimiters}
        self._delimiter = max(headers, key=lambda delimiter: len(headers[delimiter]))
        self._header = headers[self._delimiter]
        if not any(self._header):
            raise DataError(f"{path} has no header: its first line is empty; write one such as text,label")
        hint = _NO_HEADER if looks_like_data(self._header) else ""
        columns = find_columns(path, self._header, wanted, hint)
        kind = "TSV" if delimiters == "\t" else f"CSV with the delimiter {_DELIMITERS[self._delimiter]}"
        super().__init__(path, kind, columns, encoding)

    def read(self) -> Iterator[Row | BadRow]:
        """Yield the rows: see `Source.read`. A position is the first line of a row."""
        text, label, group = (
            None if name is None else self._header.index(name)
            for name in (self.columns.text, self.columns.label, self.columns.group)
        )
        assert text is not None and label is not None
        with open_bytes(self.path) as file:
            lines = Lines(self.path, file, self.encoding or "utf-8")
            reader = csv.reader(iter(lines), delimiter=self._delimiter, strict=True)
            next(reader)
            position = reader.line_num + 1
            while True:
                try:
                    fields = next(reader, None)
                except csv.Error as error:
                    yield BadRow(position, _explain(self.path, position, error))
                    lines.faults.clear()
                else:
                    if fields is None:
                        return
                    if lines.faults:
                        yield BadRow(position, _take_first(lines.faults))
                    elif len(fields) == len(self._header):
                        yield Row(position, fields[text], fields[label], None if group is None else fields[group])
                    elif fields:  # else the line is empty
                        yield BadRow(
                            position,
                            f"has {_count(len(fields))}, the header has {len(self._header)}; "
                            f"a text with a {_DELIMITERS[self._delimiter]} must be in quotes",
                        )
                position = reader.line_num + 1


def _read_header(path: Path, encoding: str, delimiter: str) -> list[str]:
    with open_bytes(path) as file:
        lines = Lines(path, file, encoding)
        try:
            fields: list[str] = next(csv.reader(iter(lines), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise DataError(f"{path}, line 1 {_explain(path, 1, error)}") from error
        if lines.faults:
            raise DataError(f"{path}, line 1 {_take_first(lines.faults)}")
        return [field.strip() for field in fields]


def _explain(path: Path, position: int, error: csv.Error) -> str:
    """Return why a row cannot be read.

    Raises:
        DataError: nothing after it can be read either.
    """
    reason = str(error)
    if "end of data" in reason or "field limit" in reason:
        raise DataError(
            f'{path}, line {position} has a quotation mark (") whose second one is missing; '
            'a field in quotes ends with ", and a " within it is doubled'
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
