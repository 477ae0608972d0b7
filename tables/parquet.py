"""Parquet files, read and written in batches of rows; needs pyarrow."""

import importlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tables.errors import TableError, unreadable
from tables.inputs import Input
from tables.table import BadRow, Column, Extended, Row, Table, Writer

_BATCH_ROWS = 4096
# Of one group of rows that is written, which readers hold in memory.
_GROUP_BYTES = 16 << 20
_BUFFER_BYTES = 1 << 20  # of each column; by default all bytes of a group of rows are read at once

_Recorded = TypeVar("_Recorded", Extended, Row)


class Parquet(Table):
    """The rows of a Parquet file. The record of a row is its batch of Arrow and its index in it.

    Attributes:
        schema: of the columns, a `pyarrow.Schema`.
    """

    unit = "row"
    is_stream = False

    def __init__(self, source: Input) -> None:
        """Read the schema.

        Raises:
            TableError: the file is damaged or comes from a pipe, or pyarrow is not installed.
        """
        self._position = 0
        with _open(source) as file:
            self.schema = file.schema_arrow
            self._rows = file.metadata.num_rows
        super().__init__(source, "Parquet", self.schema.names, None, (".parquet", ".pq"))

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

    def measure(self, record: Any) -> int:
        """Return the mean bytes of the rows of a batch: see `Table.measure`."""
        batch, _ = record
        size: int = batch.nbytes // batch.num_rows
        return size

    def show(self, record: Any) -> Any:
        """Return a row as an object of its columns, with text for what JSON does not have: see `Table.show`."""
        batch, index = record
        return json.loads(json.dumps(batch.slice(index, 1).to_pylist()[0], default=str))

    def make_writer(self, added: Sequence[Column]) -> Writer:
        """Return what writes the rows: see `Table.make_writer`."""
        return _ParquetWriter(self.schema, added)


class _ParquetWriter(Writer):
    """Gathers rows as streams of Arrow, one after the other, because Parquet cannot be cut."""

    def __init__(self, schema: Any, added: Sequence[Column]) -> None:
        self._arrow = importlib.import_module("pyarrow")
        self._ipc = importlib.import_module("pyarrow.ipc")
        self._parquet = importlib.import_module("pyarrow.parquet")
        self._schema = add_fields(schema, added)

    def encode(self, rows: Sequence[Extended]) -> bytes:
        sink = self._arrow.BufferOutputStream()
        options = self._ipc.IpcWriteOptions(compression="lz4")
        with self._ipc.new_stream(sink, self._schema, options=options) as stream:
            for batch in make_batches(rows, self._schema):
                stream.write_batch(batch)
        found: bytes = sink.getvalue().to_pybytes()
        return found

    def convert(self, part: Path) -> Path:
        path = part.with_name(f"{part.name}.parquet")
        try:
            with part.open("rb") as file, self._parquet.ParquetWriter(path, self._schema) as writer:
                batches = self._read(file)
                while group := [*_take_group(batches)]:
                    writer.write_table(self._arrow.Table.from_batches(group, self._schema))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def _read(self, file: BinaryIO) -> Iterator[Any]:
        end = os.fstat(file.fileno()).st_size
        while file.tell() < end:
            with self._ipc.open_stream(file) as stream:
                yield from stream


def add_fields(schema: Any, added: Sequence[Column]) -> Any:
    """Return a schema of Arrow with added columns."""
    arrow = importlib.import_module("pyarrow")
    types = {"text": arrow.string(), "probability": arrow.float32(), "count": arrow.int32()}
    for column in added:
        schema = schema.append(arrow.field(column.name, types[column.kind]))
    return schema


def make_batches(rows: Sequence[Extended], schema: Any) -> Iterator[Any]:
    """Yield rows of Parquet with the values of the added columns, as batches of Arrow.

    Args:
        rows: with records of Parquet.
        schema: with the added columns: see `add_fields`.
    """
    arrow = importlib.import_module("pyarrow")
    for batch, begin, run in _find_runs(rows):
        types = [field.type for field in schema][batch.num_columns :]
        added = [
            arrow.array(values, type_)
            for values, type_ in zip(zip(*(row.added for row in run), strict=True), types, strict=True)
        ]
        yield arrow.record_batch([*batch.slice(begin, len(run)).columns, *added], schema=schema)


def compact(rows: Sequence[Row | BadRow]) -> list[Row | BadRow]:
    """Return rows whose batches have no other rows, so that these can be sent to another process without them."""
    arrow = importlib.import_module("pyarrow")
    found: list[Row | BadRow] = [row for row in rows if isinstance(row, BadRow)]
    for batch, begin, run in _find_runs([row for row in rows if isinstance(row, Row)]):
        own = batch.take(arrow.array(range(begin, begin + len(run))))
        found += [row._replace(record=(own, index)) for index, row in enumerate(run)]
    return sorted(found, key=lambda row: row.position)


def _find_runs(rows: Sequence[_Recorded]) -> Iterator[tuple[Any, int, Sequence[_Recorded]]]:
    """Yield rows that follow one another in the same batch: the batch, the index of the first one, and the rows."""
    begin = 0
    for end in range(1, len(rows) + 1):
        batch, index = rows[end - 1].record
        if end == len(rows) or rows[end].record[0] is not batch or rows[end].record[1] != index + 1:
            yield batch, rows[begin].record[1], rows[begin:end]
            begin = end


def _take_group(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield the next batches, up to the size of a group of rows."""
    size = 0
    for batch in batches:
        yield batch
        size += batch.nbytes
        if size >= _GROUP_BYTES:
            return


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
        # With `pre_buffer`, its default, pyarrow keeps every group of rows that it has read until it is closed.
        with (
            source.open_seekable() as opened,
            parquet.ParquetFile(opened, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file,
        ):
            yield file
    except (OSError, UnicodeDecodeError, arrow.ArrowException) as error:
        raise unreadable(source.name, error) from error
