"""A table: rows with columns, which are read in their order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from tables.inputs import Input


class Row(NamedTuple):
    """One row.

    Attributes:
        position: grows from row to row: the number of its first line, or of the row, from 1 on.
        values: of the columns that were asked for.
        record: all columns, in the form of the format; see the tables.
    """

    position: int
    values: tuple[Any, ...]
    record: Any = None


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    position: int
    reason: str


class Table(ABC):
    """The rows of one input.

    Attributes:
        unit: what positions count, for messages.
        source: the input.
        format: for people.
        columns: their names, in order; a format whose rows have names of their own has those of the first rows.
        encoding: of the texts, None if the format has one of its own.
        hint: what else may be wrong if a column is not found, for messages.
    """

    unit: ClassVar[str] = "line"
    hint: str = ""

    def __init__(self, source: Input, format: str, columns: Sequence[str], encoding: str | None) -> None:
        """Take what the attributes say."""
        self.source = source
        self.format = format
        self.columns = tuple(columns)
        self.encoding = encoding

    @property
    def share(self) -> float | None:
        """The share of the input that `read` has read so far; None if it is not known."""
        return self.source.share

    def locate(self, position: int) -> str:
        """Return where a row is, for messages."""
        return f"{self.source.name}, {self.unit} {position}"

    @abstractmethod
    def read(self, columns: Sequence[str], whole: bool = False) -> Iterator[Row | BadRow]:
        """Yield the rows in the order of their positions.

        Args:
            columns: whose values are needed; each occurs once in the table.
            whole: whether the records are needed, too.

        Raises:
            TableError: the input cannot be read on.
        """
