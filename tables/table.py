"""A table: rows with columns, which are read in their order, and written again with further columns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

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
    """A row that cannot be read, and why.

    Attributes:
        position: see `Row`.
        reason: for people.
        shown: the row itself: see `Table.show`.
    """

    position: int
    reason: str
    shown: Any = ""


class Column(NamedTuple):
    """A column that is added to a table; values may be None."""

    name: str
    kind: Literal["text", "probability", "count"]


class Extended(NamedTuple):
    """A row with the values of the added columns."""

    record: Any
    added: Sequence[Any]


class Writer(ABC):
    """Writes the rows of a table with added columns as bytes.

    Each call of `encode` returns bytes that end with a whole row, so a file that is cut between two calls is whole.
    """

    def begin(self) -> bytes:
        """Return what comes before the first row."""
        return b""

    @abstractmethod
    def encode(self, rows: Sequence[Extended]) -> bytes:
        """Return rows as bytes."""

    def find_problem(self, record: Any) -> str | None:  # noqa: ARG002
        """Return why the added columns cannot be added to a row; None if they can."""
        return None

    def convert(self, part: Path) -> Path:
        """Return the file of the format that a file with all bytes becomes, in the same folder; by default itself.

        Raises:
            OSError: it cannot be written.
        """
        return part


class Table(ABC):
    """The rows of one input.

    Attributes:
        unit: what positions count, for messages.
        is_stream: whether the format is written from its beginning to its end, so that a pipe can take it.
        source: the input.
        format: for people.
        columns: their names, in order; a format whose rows have names of their own has those of the first rows.
        suffixes: that the name of a file in this format has.
        encoding: of the texts, None if the format has one of its own.
        hint: what else may be wrong if a column is not found, for messages.
    """

    unit: ClassVar[str] = "line"
    is_stream: ClassVar[bool] = True
    hint: str = ""

    def __init__(
        self, source: Input, format: str, columns: Sequence[str], encoding: str | None, suffixes: Sequence[str]
    ) -> None:
        """Take what the attributes say; the first suffix is the usual one."""
        self.source = source
        self.suffixes = suffixes
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

    @abstractmethod
    def measure(self, record: Any) -> int:
        """Return the size of a row with all its columns, about, in characters or bytes."""

    @abstractmethod
    def show(self, record: Any) -> Any:
        """Return a row as it is in the file, as a value of JSON: its text, or an object of its columns."""

    @abstractmethod
    def make_writer(self, added: Sequence[Column]) -> Writer:
        """Return what writes the rows of this table with added columns, whose names are new."""
