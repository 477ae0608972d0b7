"""The formats of tables, found by contents and suffix."""

import codecs

from tables.delimited import DELIMITERS, Delimited
from tables.errors import TableError
from tables.inputs import Input
from tables.json_lines import JsonLines
from tables.parquet import Parquet
from tables.table import Table

TAKEN = "CSV (.csv), TSV (.tsv), JSON Lines (.jsonl), each also as .gz, Parquet (.parquet)"

# Formats that a suffix may hide, by their first bytes.
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet; save it as CSV",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"(\xb5/\xfd": "compressed by zstd; unpack it",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "a database; export the table as CSV",
}


def open_table(source: Input, encoding: str | None = None, taken: str = TAKEN) -> Table:
    """Open a table of any format that is taken; what comes from a pipe is CSV unless its first bytes differ.

    Args:
        source: the input.
        encoding: of the texts, if the user named it.
        taken: which formats there are, for messages.

    Raises:
        TableError: its format is not taken, or it cannot be read.
    """
    start = source.read_start()
    if not start:
        raise TableError(f"{source.name} is empty; data may be: {taken}")
    if start.startswith(b"PAR1"):
        return Parquet(source)
    for mark, what in _OTHERS.items():
        if start.startswith(mark):
            raise TableError(f"{source.name} is {what}. Data may be: {taken}")
    match source.suffix:
        case ".csv":
            return Delimited(source, encoding, DELIMITERS)
        case ".tsv" | ".tab":
            return Delimited(source, encoding, "\t")
        case ".jsonl" | ".ndjson" | ".json":
            _check_lines(source, start)
            return JsonLines(source, encoding)
    if _strip(start).startswith((b"{", b'[{"')):
        _check_lines(source, start)
        return JsonLines(source, encoding)
    if source.path is None:
        return Delimited(source, encoding, DELIMITERS)
    if source.suffix == ".txt":
        raise TableError(
            f"{source.name} is a text file, and columns for text and label are needed. If it has a header and "
            f"delimiters, name it .csv or .tsv. Data may be: {taken}"
        )
    raise TableError(
        f"the format of {source.name} is unknown (suffix {source.suffix or 'missing'}); data may be: {taken}"
    )


def _check_lines(source: Input, start: bytes) -> None:
    """Check that the first line of JSON is not the beginning of an array.

    Raises:
        TableError: it is.
    """
    if _strip(start).startswith(b"["):
        raise TableError(
            f"{source.name} is one JSON array; write one object a line (JSON Lines), as `jq -c '.[]'` does, or "
            "`to_json(orient='records', lines=True)` of pandas"
        )


def _strip(start: bytes) -> bytes:
    """Return the first bytes without a mark of UTF-8 and white space."""
    return start.removeprefix(codecs.BOM_UTF8).lstrip()
