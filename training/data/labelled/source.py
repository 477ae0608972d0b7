"""A source of rows: a file or a folder that can be read several times, always in the same order."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from bundle.files import hash_file
from training.errors import DataError

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Columns:
    """Names of columns; None is a column to be found by its usual names, or one that there is not."""

    text: str | None = None
    label: str | None = None
    group: str | None = None


class Row(NamedTuple):
    """A text with its label and its group, as they are in the source.

    `position` grows from row to row: the number of the line, row or file, from 1 on.
    """

    position: int
    text: str
    label: str | None = None
    group: str | None = None


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    position: int
    reason: str


class Source(ABC):
    """Rows of one file or folder.

    Attributes:
        unit: what positions count, for messages.
        path: the file or the folder.
        format: its format, for people.
        columns: the columns that are read; all None if the source has no columns.
        encoding: of the texts, None if the format has one of its own.
    """

    unit: ClassVar[str] = "line"

    def __init__(self, path: Path, format: str, columns: Columns, encoding: str | None) -> None:
        """Take what the attributes say."""
        self.path = path
        self.format = format
        self.columns = columns
        self.encoding = encoding

    @property
    def name(self) -> str:
        """The name of the data."""
        return self.path.resolve().name

    @property
    def test(self) -> "Source | None":
        """The test texts, if the layout has them apart."""
        return None

    def hash(self) -> str:
        """Return the SHA-256 of the file, or of all files."""
        return hash_file(self.path)

    def count_bytes(self) -> int:
        """Return the size of the file, or of all files."""
        return self.path.stat().st_size

    def locate(self, position: int) -> str:
        """Return where a row is, for messages."""
        return f"{self.path}, {self.unit} {position}"

    @abstractmethod
    def read(self) -> Iterator[Row | BadRow]:
        """Yield the rows in the order of their positions.

        Raises:
            DataError: the source cannot be read on.
        """


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
    """Return a value as text; not-a-number is a missing value, as pandas writes it."""
    match value:
        case bool():
            return str(value).lower()
        case float() if math.isnan(value):
            return None
        case None | str():
            return value
        case _:
            return str(value)


def unreadable(path: Path, error: Exception) -> DataError:
    """Return the error of a file that is damaged or cannot be read."""
    return DataError(f"{path} cannot be read ({error}); check the file, or write it again")
