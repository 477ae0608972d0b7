"""Text files to lines: compression, encodings, and lines that cannot be decoded."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.data.labelled.source import unreadable
from training.errors import DataError

LONGEST = 16 << 20  # bytes of a line: more is no table, and would not fit into memory some day

_GZIP = b"\x1f\x8b"
# The longer marks first: UTF-32's begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if it is compressed by gzip.

    Raises:
        DataError: it cannot be read, also later while it is open.
    """
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] != _GZIP:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(cast(io.RawIOBase, unpacked)) as buffered:
                yield buffered
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def read_start(path: Path, count: int = 1024) -> bytes:
    """Return the first bytes of a file, unpacked."""
    with open_bytes(path) as file:
        return file.read(count)


def find_encoding(path: Path, asked: str | None) -> str:
    """Return the encoding of a text file: the one asked for, or that of its byte order mark, or UTF-8.

    Raises:
        DataError: there is no encoding of the name asked for.
    """
    if asked is not None:
        try:
            "".encode(asked)
        except (LookupError, ValueError) as error:
            raise DataError(f"there is no encoding {asked!r}; usual ones are utf-8, utf-16, cp1252, cp1251") from error
        return codecs.lookup(asked).name
    start = read_start(path, 4)
    return next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "utf-8")


class Lines:
    r"""The lines of a file, each with its end (`\n` or `\r\n`).

    A line that cannot be decoded is given with signs for the bad bytes, and `faults` has the reason.

    Attributes:
        faults: by number of the line, why it cannot be decoded; the reader takes them out.
    """

    def __init__(self, path: Path, file: BinaryIO, encoding: str) -> None:
        """Take an open file; `path` is for messages."""
        self.faults: dict[int, str] = {}
        self._path = path
        self._file = file
        self._encoding = encoding

    def __iter__(self) -> Iterator[str]:
        ends_in_a_byte = "\n".encode(self._encoding) == b"\n"
        lines = self._decode_each() if ends_in_a_byte else self._decode_all()
        for first in lines:
            yield first.removeprefix("\ufeff")
            break
        yield from lines

    def _decode_each(self) -> Iterator[str]:
        number = 0
        while line := self._file.readline(LONGEST + 1):
            number += 1
            self._check_length(number, line)
            try:
                yield line.decode(self._encoding)
            except UnicodeDecodeError as error:
                self.faults[number] = self._explain(error)
                yield line.decode(self._encoding, "replace")

    def _decode_all(self) -> Iterator[str]:
        """Yield the lines of an encoding with several bytes a sign; after a bad sign nothing can be read."""
        number = 0
        try:
            with io.TextIOWrapper(self._file, self._encoding, newline="\n") as file:
                while line := file.readline(LONGEST + 1):
                    number += 1
                    self._check_length(number, line)
                    yield line
        except UnicodeError as error:
            raise DataError(
                f"{self._path} is not {self._encoding.upper()} ({error}) from soon after line {number} on; "
                "name its encoding with --encoding"
            ) from error

    def _check_length(self, number: int, line: bytes | str) -> None:
        if len(line) > LONGEST:
            raise DataError(
                f"{self._path}, line {number} has more than {LONGEST >> 20} MiB; one row a line was expected"
            )

    def _explain(self, error: UnicodeDecodeError) -> str:
        bad = error.object[error.start : error.start + 1]
        reason = f"is not {self._encoding.upper()}: byte {bad[0]:02X} at {error.start + 1}"
        if self._encoding != "utf-8":
            return f"{reason}; name its encoding with --encoding"
        try:
            meant = bad.decode("cp1252")
        except UnicodeDecodeError:
            return f"{reason}; name its encoding with --encoding"
        return f"{reason} would be {meant!r} in Windows-1252; if that is right, add --encoding cp1252"
