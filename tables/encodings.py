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


# Of one byte a sign: those that texts of Europe are most often written in, the most frequent first.
_LIKELY = ("cp1252", "cp1251", "koi8-r", "cp1250")
_SHOWN = 3
_SHOWN_BYTES = 30
# Of the first bytes, at least this share are NUL if they are UTF-16: the spaces, marks and digits.
_LEAST_NULS = 1 / 40


def find_encoding(source: Input, asked: str | None) -> str:
    """Return the encoding of a text file: the one asked for, that of its byte order mark, UTF-16 by its NULs, or UTF-8.

    Raises:
        TableError: there is no encoding of the name asked for.
    """
    if asked is not None:
        return check_encoding(asked)
    start = source.read_start()
    marked = next((encoding for mark, encoding in _MARKS.items() if start.startswith(mark)), None)
    return marked or _find_utf16(start) or "utf-8"


def check_encoding(asked: str) -> str:
    """Return the name of an encoding of texts that a user named.

    Raises:
        TableError: there is none of this name.
    """
    try:
        "".encode(asked)
    except (LookupError, ValueError) as error:
        raise TableError(f"there is no encoding {asked!r}; usual ones are utf-8, utf-16, cp1252, cp1251") from error
    return codecs.lookup(asked).name


def explain(error: UnicodeDecodeError, encoding: str) -> str:
    """Return why bytes are not a text in an encoding, and if it is UTF-8, what they would be in others."""
    start = error.start
    reason = f"is not {encoding.upper()}: byte {error.object[start]:02X} at {start + 1}"
    if encoding != "utf-8":
        return f"{reason}; name its encoding with --encoding"
    begin = max(error.object.rfind(b" ", 0, start), start - _SHOWN_BYTES) + 1
    readings = _rank_readings(error.object[begin : begin + _SHOWN_BYTES])
    shown = ", ".join(f"{text!r} in {name}" for name, text in readings[:_SHOWN])
    return f"{reason}. It would be {shown}; name the right one, such as --encoding {readings[0][0]}"


def guess_garbled(text: str) -> tuple[str, str] | None:
    """Return the likely encoding of a text that was read in Windows-1252 and looks wrong, and what it is in it.

    None if it looks right: not even half of its letters have accents.
    """
    letters = [sign for sign in text if sign.isalpha()]
    accented = sum("\x80" <= letter < "\u0180" for letter in letters)
    if 2 * accented <= len(letters):
        return None
    name, reading = _rank_readings(text.encode("cp1252", "ignore"))[0]
    return name, reading


def _find_utf16(start: bytes) -> str | None:
    """Return which UTF-16 the first bytes of a file without a mark are, by the places of NULs; None if they are not."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) < max(2, _LEAST_NULS * len(start)) or min(even, odd):
        return None
    return "utf-16-le" if odd else "utf-16-be"


def _rank_readings(contents: bytes) -> list[tuple[str, str]]:
    """Return bytes in the likely encodings of one byte a sign, with their names, the most natural first."""
    readings = [(name, contents.decode(name, "replace").strip()) for name in _LIKELY]
    return sorted(readings, key=lambda reading: -_judge(reading[1]))


def _judge(text: str) -> float:
    """Return how natural the words of a text look in the Latin or Cyrillic script, from 0 to 1.

    A natural word is of one script. In small letters it counts more than in capitals: KOI8-R has the small letters of
    Windows-1251 as capitals. A Latin word with mostly accented letters is none. One letter says nothing.
    """
    letters = "".join(sign if sign.isalpha() else " " for sign in text)
    words = [word for word in letters.split() if len(word) > 1 and not word.isascii()]
    return sum(map(_judge_word, words)) / max(len(words), 1) - text.count("\ufffd")


def _judge_word(word: str) -> float:
    if not (word.islower() or word.istitle() or word.isupper()):
        return 0
    natural = 0.5 if word.isupper() else 1.0
    if all("\u0400" <= letter < "\u0500" for letter in word):
        return natural
    accented = sum(not letter.isascii() for letter in word)
    return natural if max(word) < "\u0250" and 2 * accented <= len(word) else 0


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
                self.faults[number] = explain(error, self._encoding)
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
