"""Sources of one file with columns: `tables` reads it, and here its columns become text, label and group."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tables.errors import TableError
from tables.table import BadRow, Table
from training.data.labelled.columns import find_columns
from training.data.labelled.source import Columns, Row, Source
from training.errors import DataError

Value = str | int | float | bool | None


class TabularSource(Source):
    """The rows of a table."""

    def __init__(self, table: Table, wanted: Columns) -> None:
        """Take a table of a file.

        Raises:
            DataError: see `find_columns`.
        """
        assert table.source.path is not None
        super().__init__(table.source.path, table.format, find_columns(table, wanted), table.encoding)
        self.unit = table.unit
        self._table = table

    def read(self) -> Iterator[Row | BadRow]:
        """Yield the rows: see `Source.read`."""
        columns = self.columns
        names = [name for name in (columns.text, columns.label, columns.group) if name is not None]
        with clear_errors():
            for row in self._table.read(names):
                if isinstance(row, BadRow):
                    yield row
                else:
                    yield make_row(row.position, columns, dict(zip(names, row.values, strict=True)))


@contextmanager
def clear_errors() -> Iterator[None]:
    """Convert errors of `tables`.

    Raises:
        DataError: there was one.
    """
    try:
        yield
    except TableError as error:
        raise DataError(str(error)) from error


def make_row(position: int, columns: Columns, values: dict[str, Value]) -> Row | BadRow:
    """Return the row of typed values by column; missing labels and groups are None."""
    assert columns.text is not None
    text = values.get(columns.text)
    if not isinstance(text, str):
        found = "nothing" if text is None else f"a value of the type {type(text).__name__}"
        return BadRow(position, f"has {found} as {columns.text!r}; a text was expected")
    fields: list[str | None] = []
    for column in (columns.label, columns.group):
        value = None if column is None else values.get(column)
        if value is not None and not isinstance(value, str | int | float):
            return BadRow(
                position,
                f"has a value of the type {type(value).__name__} as {column!r}; a text or a number was expected",
            )
        fields.append(_write(value))
    return Row(position, text, *fields)


def _write(value: Value) -> str | None:
    """Return a value as text; not-a-number as NaN, which is a word for a missing value."""
    match value:
        case bool():
            return str(value).lower()
        case float() if math.isnan(value):
            return "NaN"
        case None | str():
            return value
        case _:
            return str(value)
