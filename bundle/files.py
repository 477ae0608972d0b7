"""Reads and flushes files of a bundle; refuses anything that is not a regular file, and contents past a limit."""

import hashlib
import io
import os
import stat
from pathlib import Path

from bundle.errors import SizeError

# A JSON file. A manifest has 6 kB; lists of numbers in it, such as histograms, may make it larger.
MOST_JSON_BYTES = 1 << 20


def open_file(path: Path) -> io.BufferedReader:
    """Open a file to read it.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which might never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is not a regular file")
    return path.open("rb")


def read_file(path: Path, most_bytes: int = MOST_JSON_BYTES) -> bytes:
    """Return the contents of a file, by default of one with JSON; see `open_file`.

    Raises:
        SizeError: it has more bytes than the limit.
    """
    with open_file(path) as file:
        contents = file.read(most_bytes + 1)
    if len(contents) > most_bytes:
        raise SizeError(
            f"{path} has more than {most_bytes:,} bytes, which is the limit for such a file; restore it or train the "
            "bundle again"
        )
    return contents


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; see `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
