"""Parquet files, read in batches of rows; needs pyarrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.data.labelled.columns import find_columns
from training.data.labelled.source import BadRow, Columns, Row, Source, make_row, unreadable
from training.errors import MissingPackageError
from training.optional import import_optional

_BATCH_ROWS = 4096


class Parquet(Source):
    """The rows of a Parquet file."""

    unit = "row"

    def __init__(self, path: Path, wanted: Columns) -> None:
        """Read the names of the columns.

        Raises:
            DataError: the file is damaged, or see `find_columns`.
            MissingPackageError: pyarrow is not installed.
        """
        with _open(path) as file:
            names = list(file.schema_arrow.names)
        super().__init__(path, "Parquet", find_columns(path, names, wanted), None)

    def read(self) -> Iterator[Row | BadRow]:
        """Yield the rows: see `Source.read`. Positions are the numbers of rows."""
        columns = self.columns
        names = [name for name in (columns.text, columns.label, columns.group) if name is not None]
        position = 0
        with _open(self.path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                for row in batch.to_pylist():
                    position += 1
                    yield make_row(position, columns, row)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a Parquet file.

    Raises:
        DataError: it is damaged, also later while it is open.
        MissingPackageError: pyarrow is not installed.
    """
    try:
        arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
    except MissingPackageError as error:
        raise MissingPackageError(
            f"{path} is a Parquet file, and pyarrow is not installed; run `pip install pyarrow`, "
            "or write the data as CSV or JSON Lines"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (OSError, UnicodeDecodeError, arrow.ArrowException) as error:
        raise unreadable(path, error) from error
