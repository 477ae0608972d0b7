"""The formats of data, found by contents and suffix."""

import stat
from pathlib import Path

from training.data import imdb
from training.data.labelled.encodings import read_start
from training.data.labelled.folders import Folder, ImdbTexts
from training.data.labelled.json_lines import JsonLines
from training.data.labelled.parquet import Parquet
from training.data.labelled.source import Columns, Source
from training.data.labelled.tables import Table
from training.errors import DataError

TAKEN = (
    "CSV (.csv), TSV (.tsv), JSON Lines (.jsonl), each also as .gz, Parquet (.parquet), a folder with one subfolder of "
    ".txt files for each label, or the archive or folder of the Large Movie Review Dataset"
)

_TAR = b"ustar"
_TAR_AT = 257
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


def open_source(path: Path, wanted: Columns | None = None, encoding: str | None = None) -> Source:
    """Open data of any format that is taken.

    Args:
        path: a file or a folder.
        wanted: the columns that the user named, for formats with columns.
        encoding: of the texts, if the user named it.

    Raises:
        DataError: it is not there, its format is not taken, or its columns are not found.
        MissingPackageError: its format needs a package that is not installed.
    """
    columns = wanted or Columns()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DataError(f"there is no {path} ({error.strerror}); data may be: {TAKEN}") from error
    if stat.S_ISDIR(mode):
        if all((path / "train" / label).is_dir() for label in ("pos", "neg")):
            return _without_columns(ImdbTexts(path, imdb.load(path)), columns)
        return _without_columns(Folder(path, encoding), columns)
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is not a regular file; data are read more than once: write them to a file first")
    return _open_file(path, columns, encoding)


def _open_file(path: Path, columns: Columns, encoding: str | None) -> Source:
    start = read_start(path)
    if not start:
        raise DataError(f"{path} is empty; data may be: {TAKEN}")
    if start[_TAR_AT:].startswith(_TAR):
        return _without_columns(ImdbTexts(path, imdb.load(path)), columns)
    if start.startswith(b"PAR1"):
        return Parquet(path, columns)
    for mark, what in _OTHERS.items():
        if start.startswith(mark):
            raise DataError(f"{path} is {what}. Data may be: {TAKEN}")
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    match suffix:
        case ".csv":
            return Table(path, columns, encoding, ",;\t")
        case ".tsv" | ".tab":
            return Table(path, columns, encoding, "\t")
        case ".jsonl" | ".ndjson" | ".json":
            if start.lstrip().startswith(b"["):
                raise DataError(f"{path} is one JSON array; write one object a line (JSON Lines)")
            return JsonLines(path, columns, encoding)
    if start.lstrip().startswith(b"{"):
        return JsonLines(path, columns, encoding)
    raise DataError(f"the format of {path} is unknown (suffix {suffix or 'missing'}); data may be: {TAKEN}")


def _without_columns(source: Source, wanted: Columns) -> Source:
    """Return a source that has no columns.

    Raises:
        DataError: the user named a column.
    """
    if wanted != Columns():
        raise DataError(f"{source.path} has no columns ({source.format}); leave the options for columns out")
    return source
