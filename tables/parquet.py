"""Parquet files, read in batches of rows; needs pyarrow."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tables.errors import TableError, unreadable
from tables.inputs import Input
from tables.table import BadRow, Row, Table

_BATCH_ROWS = 4096
_BUFFER_BYTES = 1 << 20  # of each column; by default all bytes of a group of rows are read at once


class Parquet(Table):
    """The rows of a Parquet file. The record of a row is its batch of Arrow and its index in it.

    Attributes:
        schema: of the columns, a `pyarrow.Schema`.
    """

    unit = "row"

    def __init__(self, source: Input) -> None:
        """Read the schema.

        Raises:
            TableError: the file is damaged or comes from a pipe, or pyarrow is not installed.
        """
        self._position = 0
        with _open(source) as file:
            self.schema = file.schema_arrow
            self._rows = file.metadata.num_rows
        super().__init__(source, "Parquet", self.schema.names, None)

    @property
    def share(self) -> float | None:
        """The share of the rows that has been read: see `Table.share`."""
        return self._position / self._rows if self._rows else None

    def read(self, columns: Sequence[str], whole: bool = False) -> Iterator[Row | BadRow]:
        """Yield the rows: see `Table.read`. Positions are the numbers of rows."""
        self._position = 0
        with _open(self.source) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=None if whole else [*columns]):
                values = [batch.column(name).to_pylist() for name in columns]
                for index, row in enumerate(zip(*values, strict=True)):
                    self._position += 1
                    yield Row(self._position, row, (batch, index))


@contextmanager
def _open(source: Input) -> Iterator[Any]:
    """Open a Parquet file.

    Raises:
        TableError: it is damaged, also later while it is open; or pyarrow is not installed.
    """
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise TableError(
            f"{source.name} is a Parquet file, and pyarrow is not installed; run `pip install pyarrow`, "
            "or write the data as CSV or JSON Lines"
        ) from error
    try:
        with source.open_at_any_place() as opened, parquet.ParquetFile(opened, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except (OSError, UnicodeDecodeError, arrow.ArrowException) as error:
        raise unreadable(source.name, error) from error
