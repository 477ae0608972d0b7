"""The rows of any table as Parquet; needs pyarrow."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from tables.json_lines import JsonLines, JsonObject
from tables.parquet import Parquet, add_fields, make_batches
from tables.table import Column, Extended, Table, Writer


class Converter(Writer):
    """Writes rows of a table as Parquet, whatever its own format is; each call of `encode` returns a whole file.

    The columns of CSV and JSON Lines become texts; values of JSON that are no texts become their JSON.
    """

    def __init__(self, table: Table, added: Sequence[Column]) -> None:
        """Take the table, and the columns that are added to it."""
        self._table = table
        self._added = added
        self._writer = table.make_writer(added)

    def find_problem(self, record: Any) -> str | None:
        """Return why a row cannot be written: see `Writer.find_problem`. JSON has lone surrogates, Parquet has none."""
        if isinstance(record, JsonObject) and "\\ud" in record.text.lower():
            try:
                json.dumps(record.fields, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                return f"has a lone surrogate ({error.object[error.start]!r}), which Parquet cannot have; remove it"
        return self._writer.find_problem(record)

    def encode(self, rows: Sequence[Extended]) -> bytes:
        """Return rows as a file: see `Writer.encode`."""
        if isinstance(self._table, Parquet):
            schema = self._table.schema
        else:
            batch = self._make_batch([row.record for row in rows])
            schema = batch.schema
            rows = [Extended((batch, index), row.added) for index, row in enumerate(rows)]
        schema = add_fields(schema, self._added)
        sink = arrow.BufferOutputStream()
        parquet.write_table(arrow.Table.from_batches(make_batches(rows, schema), schema), sink)
        found: bytes = sink.getvalue().to_pybytes()
        return found

    def _make_batch(self, records: Sequence[Any]) -> Any:
        """Return records of a format without types as a batch of texts."""
        names = [*self._table.columns]
        if isinstance(self._table, JsonLines):
            names = [*dict.fromkeys((*names, *(name for record in records for name in record.fields)))]
            records = [[_write_json(record.fields.get(name)) for name in names] for record in records]
        columns = zip(*records, strict=True) if records else [[] for _ in names]
        return arrow.record_batch([arrow.array(column, arrow.string()) for column in columns], names)


def _write_json(value: Any) -> str | None:
    """Return a value of JSON as a text; a text as it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
