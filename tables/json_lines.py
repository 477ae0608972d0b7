"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from tables.encodings import Lines, find_encoding
from tables.errors import TableError
from tables.inputs import Input
from tables.table import BadRow, Column, Extended, Row, Table, Writer

_FIRST_LINES = 100  # whose keys are the columns


class JsonObject(NamedTuple):
    """One line: its number, its text without the space around it, and its fields."""

    position: int
    text: str
    fields: dict[str, Any]


class JsonLines(Table):
    """The rows of a file with one JSON object a line. The record of a row is a `JsonObject`."""

    def __init__(self, source: Input, encoding: str | None) -> None:
        """Read the keys of the first lines.

        Raises:
            TableError: no line is a JSON object, or see `find_encoding`.
        """
        encoding = find_encoding(source, encoding)
        keys: dict[str, None] = {}
        with source.open_start() as file:
            for found in islice(_read_objects(source.name, file, encoding), _FIRST_LINES):
                if not isinstance(found, BadRow):
                    keys |= dict.fromkeys(found.fields)
        if not keys:
            raise TableError(
                f'{source.name} has no JSON object in its first lines; write one a line, such as {{"text": "..."}}'
            )
        super().__init__(source, "JSON Lines", [*keys], encoding, (".jsonl", ".ndjson", ".json"))

    def read(self, columns: Sequence[str], whole: bool = False) -> Iterator[Row | BadRow]:  # noqa: ARG002
        """Yield the rows: see `Table.read`. The value of a missing column is None."""
        with self.source.open() as file:
            for found in _read_objects(self.source.name, file, self.encoding or "utf-8"):
                if isinstance(found, BadRow):
                    yield found
                else:
                    yield Row(found.position, tuple(found.fields.get(name) for name in columns), found)

    def measure(self, record: Any) -> int:
        """Return the characters of a line: see `Table.measure`."""
        return len(record.text)

    def show(self, record: Any) -> str:
        """Return the text of a line: see `Table.show`."""
        text: str = record.text
        return text

    def make_writer(self, added: Sequence[Column]) -> Writer:
        """Return what writes the lines; their old fields stay as they are written: see `Table.make_writer`."""
        return _JsonLinesWriter([column.name for column in added])


class _JsonLinesWriter(Writer):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_problem(self, record: Any) -> str | None:
        for name in self._names:
            if name in record.fields:
                return f"has a field {name!r} already; choose other names for the new ones with --prefix"
        return None

    def encode(self, rows: Sequence[Extended]) -> bytes:
        lines = []
        for record, values in rows:
            added = json.dumps(dict(zip(self._names, values, strict=True)), ensure_ascii=False)
            between = ", " if record.fields else ""
            lines.append(f"{record.text[:-1].rstrip()}{between}{added[1:]}\n")
        return "".join(lines).encode()


def _read_objects(name: str, file: BinaryIO, encoding: str) -> Iterator[JsonObject | BadRow]:
    lines = Lines(name, file, encoding)
    for number, line in enumerate(lines, 1):
        if lines.faults:
            yield BadRow(number, lines.faults.pop(number), line.strip())
        elif text := line.strip():
            yield _parse(number, text)


def _parse(number: int, text: str) -> JsonObject | BadRow:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        return BadRow(number, f"is not JSON ({reason}); one object a line was expected", text)
    if not isinstance(found, dict):
        return BadRow(number, f"is a JSON {type(found).__name__}; one object a line was expected", text)
    return JsonObject(number, text, found)
