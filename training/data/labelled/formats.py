"""The formats of data: those of `tables`, and folders and archives with a layout."""

import stat
from pathlib import Path

from tables import formats
from tables.inputs import FileInput
from training.data import imdb
from training.data.labelled.folders import Folder, ImdbTexts
from training.data.labelled.source import Columns, Source
from training.data.labelled.tabular import TabularSource, clear_errors
from training.errors import DataError

TAKEN = (
    f"{formats.TAKEN}, a folder with one subfolder of .txt files for each label, or the archive or folder of the Large "
    "Movie Review Dataset"
)

_TAR = b"ustar"
_TAR_AT = 257


def open_source(path: Path, wanted: Columns | None = None, encoding: str | None = None) -> Source:
    """Open data of any format that is taken.

    Args:
        path: a file or a folder.
        wanted: the columns that the user named, for formats with columns.
        encoding: of the texts, if the user named it.

    Raises:
        DataError: it is not there, its format is not taken or needs a package that is not installed, or its columns
            are not found.
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


def is_archive(source: FileInput) -> bool:
    """Return whether a file is a tar archive, also compressed.

    Raises:
        TableError: it cannot be read.
    """
    return source.read_start()[_TAR_AT:].startswith(_TAR)


def _open_file(path: Path, columns: Columns, encoding: str | None) -> Source:
    source = FileInput(path)
    with clear_errors():
        if is_archive(source):
            return _without_columns(ImdbTexts(path, imdb.load(path)), columns)
        return TabularSource(formats.open_table(source, encoding, TAKEN), columns)


def _without_columns(source: Source, wanted: Columns) -> Source:
    """Return a source that has no columns.

    Raises:
        DataError: the user named a column.
    """
    if wanted != Columns():
        raise DataError(f"{source.path} has no columns ({source.format}); leave the options for columns out")
    return source
