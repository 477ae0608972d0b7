"""Text files to lines: encodings, and lines that cannot be decoded."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from tables.errors import TableError
from tables.inputs import Input

LONGEST = 16 << 20  # bytes of a line: more is no table, and would not fit into memory some day

# The longer marks first: UTF-32's begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}


def find_encoding(source: Input, asked: str | None) -> str:
    """Return the encoding of a text file: the one asked for, or that of its byte order mark, or UTF-8.

    Raises:
        TableError: there is no encoding of the name asked for.
    """
    if asked is not None:
        try:
            "".encode(asked)
        except (LookupError, ValueError) as error:
            raise TableError(f"there is no encoding {asked!r}; usual ones are utf-8, utf-16, cp1252, cp1251") from error
        return codecs.lookup(asked).name
    start = source.read_start(4)
    return next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), "utf-8")


class Lines:
    r"""The lines of a file, each with its end (`\n` or `\r\n`).

    A line that cannot be decoded is given with signs for the bad bytes, and `faults` has the reason.

    Attributes:
        faults: by number of the line, why it cannot be decoded; the reader takes them out.
    """

    def __init__(self, name: str, file: BinaryIO, encoding: str) -> None:
        """Take an open file; its name is for messages."""
        self.faults: dict[int, str] = {}
        self._name = name
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
            raise TableError(
                f"{self._name} is not {self._encoding.upper()} ({error}) from soon after line {number} on; "
                "name its encoding with --encoding"
            ) from error

    def _check_length(self, number: int, line: bytes | str) -> None:
        if len(line) > LONGEST:
            raise TableError(
                f"{self._name}, line {number} has more than {LONGEST >> 20} MiB; one row a line was expected"
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
