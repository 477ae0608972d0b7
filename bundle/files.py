"""Reads files of a bundle; refuses anything that is not a regular file."""

import hashlib
import io
import stat
from pathlib import Path


def open_file(path: Path) -> io.BufferedReader:
    """Open a file to read it.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which might never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")
    return path.open("rb")


def read_file(path: Path) -> bytes:
    """Return the contents of a file; see `open_file`."""
    with open_file(path) as file:
        return file.read()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; see `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
