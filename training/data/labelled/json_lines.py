"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.data.labelled.columns import find_columns
from training.data.labelled.encodings import Lines, find_encoding, open_bytes
from training.data.labelled.source import BadRow, Columns, Row, Source, Value, make_row
from training.errors import DataError

_FIRST_LINES = 100  # whose keys are the columns


class JsonLines(Source):
    """The rows of a file with one JSON object a line."""

    def __init__(self, path: Path, wanted: Columns, encoding: str | None) -> None:
        """Read the keys of the first lines.

        Raises:
            DataError: no line is a JSON object, or see `find_columns` and `find_encoding`.
        """
        super().__init__(path, "JSON Lines", Columns(), find_encoding(path, encoding))
        keys: dict[str, None] = {}
        for found in islice(self._read_objects(), _FIRST_LINES):
            if isinstance(found, tuple) and not isinstance(found, BadRow):
                keys |= dict.fromkeys(found[1])
        if not keys:
            raise DataError(
                f'{path} has no JSON object in its first lines; write one a line, such as {{"text": "..."}}'
            )
        self.columns = find_columns(path, list(keys), wanted)

    def read(self) -> Iterator[Row | BadRow]:
        """Yield the rows: see `Source.read`."""
        for found in self._read_objects():
            yield found if isinstance(found, BadRow) else make_row(found[0], self.columns, found[1])

    def _read_objects(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        with open_bytes(self.path) as file:
            lines = Lines(self.path, file, self.encoding or "utf-8")
            for number, line in enumerate(lines, 1):
                if lines.faults:
                    yield BadRow(number, lines.faults.pop(number))
                elif line.strip():
                    yield _parse(number, line)


def _parse(number: int, line: str) -> tuple[int, dict[str, Value]] | BadRow:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        return BadRow(number, f"is not JSON ({reason}); one object a line was expected")
    if not isinstance(found, dict):
        return BadRow(number, f"is a JSON {type(found).__name__}; one object a line was expected")
    return number, found
