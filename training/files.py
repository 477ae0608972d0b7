"""Files that are written completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing; once it is on disk it replaces the old file.

    Raises:
        OSError: the new file cannot be written; the old file stays unchanged.
    """
    staged = path.with_name(f".{path.name}.new")
    try:
        with staged.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def compress(archive: Path) -> None:
    """Compress a ZIP archive whose files are stored uncompressed."""
    with ZipFile(archive) as stored, replacing(archive) as file, ZipFile(file, "w", ZIP_DEFLATED) as compressed:
        for name in stored.namelist():
            compressed.writestr(name, stored.read(name))
