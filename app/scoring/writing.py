"""Rows with added columns as bytes, in the format that they were read in.

Each call of `encode` gives bytes that end with a whole row, so a file that is cut between two calls is whole, too.
"""

import csv
import gzip
import importlib
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from app.errors import ScoringError
from app.scoring.answers import Column
from app.scoring.sinks import rename
from bundle.files import flush
from tables.delimited import Delimited
from tables.json_lines import JsonLines
from tables.parquet import Parquet
from tables.table import Row, Table

_GZIP_SUFFIX = ".gz"
# Of one group of rows in Parquet, which readers hold in memory.
_GROUP_BYTES = 16 << 20


class Scored(NamedTuple):
    """A row with the values of the added columns."""

    record: Any
    added: Sequence[Any]


RecordT = TypeVar("RecordT", Scored, Row)


class Writer(ABC):
    """Writes the rows of one format.

    Attributes:
        suffixes: that the name of an output may have; no suffix is right, too.
    """

    suffixes: tuple[str, ...]

    @abstractmethod
    def begin(self) -> bytes:
        """Return what comes before the first row."""

    @abstractmethod
    def encode(self, rows: Sequence[Scored]) -> bytes:
        """Return rows as bytes."""

    def find_problem(self, record: Any) -> str | None:  # noqa: ARG002
        """Return why the added columns cannot be added to a row; None if they can."""
        return None

    def publish(self, part: Path, output: Path) -> None:
        """Make the output of the file with all bytes, in one step; after a kill the same call completes it.

        Raises:
            OSError: it cannot be written.
        """
        rename(part, output)


class DelimitedWriter(Writer):
    """CSV or TSV, in UTF-8."""

    def __init__(self, table: Delimited, added: Sequence[Column]) -> None:
        """Take the table whose rows are written, and the added columns."""
        self.suffixes = (".tsv", ".tab") if table.delimiter == "\t" else (".csv",)
        self._delimiter = table.delimiter
        self._header = [*table.header, *(column.name for column in added)]

    def begin(self) -> bytes:
        """Return the header: see `Writer.begin`."""
        return self._write([self._header])

    def encode(self, rows: Sequence[Scored]) -> bytes:
        """Return rows: see `Writer.encode`."""
        return self._write([*row.record, *row.added] for row in rows)

    def _write(self, rows: "Iterator[list[Any]] | list[list[Any]]") -> bytes:
        text = io.StringIO()
        plain, quoted = (
            csv.writer(text, delimiter=self._delimiter, lineterminator="\n", quoting=quoting)
            for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
        )
        for row in rows:
            # A carriage return must be in quotes, and the module sees to that only if it ends lines, too.
            has_return = any(isinstance(field, str) and "\r" in field for field in row)
            (quoted if has_return else plain).writerow(row)
        return text.getvalue().encode()


class JsonLinesWriter(Writer):
    """JSON Lines. The old fields of a line stay as they are written."""

    suffixes = (".jsonl", ".ndjson", ".json")

    def __init__(self, added: Sequence[Column]) -> None:
        """Take the added columns."""
        self._names = [column.name for column in added]

    def begin(self) -> bytes:
        """Return nothing: see `Writer.begin`."""
        return b""

    def find_problem(self, record: Any) -> str | None:
        """Return which field a row has already: see `Writer.find_problem`."""
        for name in self._names:
            if name in record.fields:
                return f"has a field {name!r} already; choose other names for the new ones with --prefix"
        return None

    def encode(self, rows: Sequence[Scored]) -> bytes:
        """Return rows: see `Writer.encode`."""
        lines = []
        for record, values in rows:
            added = json.dumps(dict(zip(self._names, values, strict=True)), ensure_ascii=False)
            lines.append(f"{record.text[:-1].rstrip()}, {added[1:]}\n")
        return "".join(lines).encode()


class ParquetWriter(Writer):
    """Parquet. Rows are gathered as streams of Arrow, one after the other, because Parquet cannot be cut."""

    suffixes = (".parquet", ".pq")

    def __init__(self, table: Parquet, added: Sequence[Column]) -> None:
        """Take the table whose rows are written, and the added columns."""
        self._arrow = importlib.import_module("pyarrow")
        self._ipc = importlib.import_module("pyarrow.ipc")
        self._parquet = importlib.import_module("pyarrow.parquet")
        fields = find_fields(added)
        self._types = [field.type for field in fields]
        self._schema = table.schema
        for field in fields:
            self._schema = self._schema.append(field)

    def begin(self) -> bytes:
        """Return nothing: see `Writer.begin`."""
        return b""

    def encode(self, rows: Sequence[Scored]) -> bytes:
        """Return rows: see `Writer.encode`."""
        sink = self._arrow.BufferOutputStream()
        options = self._ipc.IpcWriteOptions(compression="lz4")
        with self._ipc.new_stream(sink, self._schema, options=options) as stream:
            for batch, begin, run in find_runs(rows):
                added = [
                    self._arrow.array(values, type_)
                    for values, type_ in zip(zip(*(row.added for row in run), strict=True), self._types, strict=True)
                ]
                columns = [*batch.slice(begin, len(run)).columns, *added]
                stream.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        found: bytes = sink.getvalue().to_pybytes()
        return found

    def publish(self, part: Path, output: Path) -> None:
        """Write Parquet: see `Writer.publish`."""
        staged = output.with_name(f"{output.name}.parquet-part")
        with part.open("rb") as file, self._parquet.ParquetWriter(staged, self._schema) as writer:
            batches = self._read(file)
            while group := [*_take_group(batches)]:
                writer.write_table(self._arrow.Table.from_batches(group, self._schema))
        flush(staged)
        super().publish(staged, output)
        part.unlink()

    def _read(self, file: BinaryIO) -> Iterator[Any]:
        end = os.fstat(file.fileno()).st_size
        while file.tell() < end:
            with self._ipc.open_stream(file) as stream:
                yield from stream


def make_writer(table: Table, added: Sequence[Column]) -> Writer:
    """Return the writer of the rows of a table.

    Raises:
        ScoringError: the table has a column with the name of an added one.
    """
    if taken := [column.name for column in added if column.name in table.columns]:
        raise ScoringError(
            f"{table.source.name} has already the column {', '.join(map(repr, taken))}; choose other names for the new "
            "ones with --prefix, such as --prefix new_"
        )
    if isinstance(table, Delimited):
        return DelimitedWriter(table, added)
    if isinstance(table, Parquet):
        return ParquetWriter(table, added)
    assert isinstance(table, JsonLines)
    return JsonLinesWriter(added)


def find_fields(added: Sequence[Column]) -> list[Any]:
    """Return the fields of Arrow for added columns."""
    arrow = importlib.import_module("pyarrow")
    types = {"text": arrow.string(), "probability": arrow.float32(), "count": arrow.int32()}
    return [arrow.field(column.name, types[column.kind]) for column in added]


def check_suffix(writer: Writer, output: Path) -> bool:
    """Return whether an output is to be compressed, by its name.

    Raises:
        ScoringError: its name is that of another format.
    """
    is_packed = output.name.lower().endswith(_GZIP_SUFFIX)
    suffix = Path(output.name.lower().removesuffix(_GZIP_SUFFIX)).suffix
    if suffix not in ("", *writer.suffixes) or (is_packed and isinstance(writer, ParquetWriter)):
        raise ScoringError(
            f"{output} is to have the format of the input; give it the suffix {' or '.join(writer.suffixes)}"
        )
    return is_packed


def pack(contents: bytes) -> bytes:
    """Return bytes compressed by gzip. What is compressed in parts is unpacked as one."""
    return gzip.compress(contents, 6, mtime=0) if contents else b""


def find_runs(rows: Sequence[RecordT]) -> Iterator[tuple[Any, int, Sequence[RecordT]]]:
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
