"""A source of rows: a file or a folder that can be read several times, always in the same order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bundle.files import hash_file
from tables.table import BadRow


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


class Source(ABC):
    """Rows of one file or folder.

    Attributes:
        unit: what positions count, for messages.
        path: the file or the folder.
        format: its format, for people.
        columns: the columns that are read; all None if the source has no columns.
        encoding: of the texts, None if the format has one of its own.
    """

    unit: str = "line"

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
    def notes(self) -> tuple[str, ...]:
        """Sentences about what is odd before a row is read."""
        return ()

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
