"""The rows of any table as Parquet; needs pyarrow."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as arrow
from pyarrow import parquet

from tables.errors import TableError, show_names
from tables.json_lines import JsonLines, JsonObject
from tables.parquet import Parquet, add_fields, make_batches
from tables.table import Column, Extended, Table, Writer


class Converter(Writer):
    """Writes rows of a table as Parquet, whatever its own format is; each call of `encode` returns a whole file.

    The columns of CSV and JSON Lines become texts; values of JSON that are no texts become their JSON. A file of JSON
    Lines has the columns of the table, and further ones for other fields of its rows.
    """

    def __init__(self, table: Table, added: Sequence[Column]) -> None:
        """Take the table, and the columns that are added to it.

        Raises:
            TableError: the name of a column has a lone surrogate, which JSON can have and Parquet cannot.
        """
        if wrong := [name for name in table.columns if _find_surrogate(name)]:
            raise TableError(
                f"{table.source.name} has the column {show_names(wrong)} with a lone surrogate, which Parquet cannot "
                "have; rename it"
            )
        self._table = table
        self._added = added
        self._writer = table.make_writer(added)

    def find_problem(self, record: Any) -> str | None:
        """Return why a row cannot be written: see `Writer.find_problem`. JSON has lone surrogates, Parquet has none."""
        if isinstance(record, JsonObject) and "\\ud" in record.text.lower():
            if found := _find_surrogate(json.dumps(record.fields, ensure_ascii=False)):
                return f"has a lone surrogate ({found!r}), which Parquet cannot have; remove it"
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


def _find_surrogate(text: str) -> str | None:
    """Return the first lone surrogate of a text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


def _write_json(value: Any) -> str | None:
    """Return a value of JSON as a text; a text as it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
