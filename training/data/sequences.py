"""The user's own sequences: a text file with one sequence a line, as ids in memory, one byte a character."""

import gzip
import hashlib
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bundle.errors import LetterError
from bundle.files import hash_file, open_file
from bundle.symbols import MOST_SYMBOLS, SymbolCodec, describe_alphabet, describe_character, lower
from training.errors import DataError

RARE = 1e-4  # share of the text below which a character is named: few examples teach little about it

_GZIP = b"\x1f\x8b"
_MOST_LINE_BYTES = 16 << 20
_NAMED_CHARACTERS = 20  # in a message


@dataclass(frozen=True)
class Sequences:
    """Sequences as ids.

    Attributes:
        ids: of all characters, one sequence after the other, uint8 [characters].
        starts: where each sequence begins in `ids`, and the end of the last one, int64 [sequences + 1].
        hashes: of each sequence, uint64 [sequences].
    """

    ids: NDArray[np.uint8]
    starts: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.hashes)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The characters of each sequence, int64 [sequences]."""
        return np.diff(self.starts)

    def take(self, chosen: NDArray[np.bool_]) -> "Sequences":
        """Return the chosen sequences, in their order; `chosen` is bool [sequences]."""
        lengths = self.lengths
        ids = self.ids[np.repeat(chosen, lengths)]
        return Sequences(ids, _find_starts(lengths[chosen]), self.hashes[chosen])


@dataclass(frozen=True)
class SequenceFile:
    """The sequences of a file, and what was odd about its lines.

    Attributes:
        path: the file.
        sha256: of the file.
        sequences: those of at least two characters.
        blank: lines without a sequence.
        short: lines of one character, which are left out.
        skipped: lines that cannot be read and were left out.
        repeated: lines that an earlier line equals.
    """

    path: Path
    sha256: str
    sequences: Sequences
    blank: int
    short: int
    skipped: int
    repeated: int

    def describe(self) -> str:
        """Return the counts in words."""
        found = [f"{len(self.sequences):,} lines with {len(self.sequences.ids):,} characters"]
        found += [f"{self.blank:,} blank lines left out"] if self.blank else []
        found += [f"{self.short:,} lines of one character left out"] if self.short else []
        found += [f"{self.skipped:,} bad lines left out"] if self.skipped else []
        found += [f"{self.repeated:,} lines repeat an earlier one"] if self.repeated else []
        return "; ".join(found)


@dataclass(frozen=True)
class FoundAlphabet:
    """The characters of a file, and how often the rare ones occur, the rarest first."""

    characters: str
    rare: tuple[tuple[str, int], ...]

    def describe_rare(self) -> str:
        """Return the rare characters in words."""
        named = ", ".join(
            f"{describe_character(character)} {count:,} times" for character, count in self.rare[:_NAMED_CHARACTERS]
        )
        more = len(self.rare) - _NAMED_CHARACTERS
        return named + (f" and {more} more" if more > 0 else "")


def find_alphabet(path: Path, fold_case: bool, skip_bad: bool) -> FoundAlphabet:
    """Return the characters of a file in the order of Unicode; of letters in two cases, the lower if case is folded.

    Raises:
        DataError: the file cannot be read, or there are fewer than 2 characters, or more than 200.
    """
    counts: Counter[str] = Counter()
    for _, line in _read_texts(path, skip_bad):
        if line is not None:
            counts.update(line)
    if fold_case:
        folded: Counter[str] = Counter()
        for character, count in counts.items():
            folded[lower(character)] += count
        counts = folded
    total = counts.total()
    if len(counts) > MOST_SYMBOLS:
        kept = sum(count for _, count in counts.most_common(MOST_SYMBOLS))
        raise DataError(
            f"{path} has {len(counts):,} different characters, and an alphabet has at most {MOST_SYMBOLS}; the "
            f"{MOST_SYMBOLS} commonest are {kept / total:.2%} of the text: name those that matter with --alphabet and "
            "leave the lines with others out with --skip-bad-rows"
            + ("" if fold_case else ", or read both cases as one with --fold-case")
        )
    characters = "".join(sorted(counts))
    if len(characters) < 2:
        found = f"only the character {describe_character(characters)}" if characters else "no characters"
        raise DataError(f"{path} has {found}; a network needs at least 2 different ones to learn what comes next")
    rare = sorted((count, character) for character, count in counts.items() if count < RARE * total)
    return FoundAlphabet(characters, tuple((character, count) for count, character in rare))


def make_codec(alphabet: str, fold_case: bool, length: int) -> SymbolCodec:
    """Return the codec of an alphabet.

    Raises:
        DataError: it is not valid; see `bundle.symbols.check_alphabet`.
    """
    try:
        return SymbolCodec(alphabet=unicodedata.normalize("NFC", alphabet), fold_case=fold_case, length=length)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise DataError(f"{reasons}; correct --alphabet") from error


def read(path: Path, codec: SymbolCodec, skip_bad: bool) -> SequenceFile:
    """Read a file of sequences: UTF-8, also compressed by gzip, one sequence a line.

    Args:
        path: the file.
        codec: has the alphabet.
        skip_bad: whether to leave out lines that are not UTF-8 or have a character outside the alphabet.

    Raises:
        DataError: the file or a line of it cannot be read; the message has the line and the position.
    """
    ids = bytearray()
    lengths: list[int] = []
    hashes: list[int] = []
    blank = short = skipped = 0
    for number, line in _read_texts(path, skip_bad):
        if line is None:
            skipped += 1
            continue
        if not line.strip():
            blank += 1
            continue
        try:
            coded = codec.code(line).astype(np.uint8).tobytes()
        except LetterError as error:
            if skip_bad:
                skipped += 1
                continue
            raise DataError(
                f"{path}, line {number}: {describe_character(error.character)} at position {error.position} (the first "
                f"is 0) is not in the alphabet {describe_alphabet(codec.alphabet)}; correct the line, name the "
                "character in --alphabet, or leave such lines out with --skip-bad-rows"
            ) from error
        if len(coded) < 2:
            short += 1
            continue
        ids += coded
        lengths.append(len(coded))
        hashes.append(int.from_bytes(hashlib.blake2b(coded, digest_size=8).digest(), "little"))
    if not lengths:
        raise DataError(f"{path} has no line of two characters or more; one sequence a line is expected")
    found = Sequences(np.frombuffer(bytes(ids), np.uint8), _find_starts(lengths), np.array(hashes, np.uint64))
    repeated = len(hashes) - len(np.unique(found.hashes))
    return SequenceFile(path, hash_file(path), found, blank, short, skipped, repeated)


def hold_out(sequences: Sequences, share: float, bits: int = 0) -> NDArray[np.bool_]:
    """Return which sequences are held out, bool [sequences]: a share of them, chosen by their contents.

    So equal sequences are in the same part, and neither their order nor the seed matters. `bits` is 0 or 1; the two
    choices are independent of one another.
    """
    numbers = (sequences.hashes >> np.uint64(32 * bits)) & np.uint64(0xFFFFFFFF)
    return numbers < np.uint64(round(share * 2**32))


def _find_starts(lengths: NDArray[np.int64] | list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _read_texts(path: Path, skip_bad: bool) -> Iterator[tuple[int, str | None]]:
    """Yield the number of every line, from 1 on, and its text in form NFC; None for a line that is not UTF-8.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8 or too long.
    """
    number = 0
    try:
        for number, line in enumerate(_read_lines(path), 1):
            if len(line) > _MOST_LINE_BYTES:
                raise DataError(
                    f"{path}, line {number} has more than {_MOST_LINE_BYTES >> 20} MiB; break it into lines, as "
                    "`fold -w 1000 FILE` does"
                )
            try:
                text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
            except UnicodeDecodeError as error:
                if not skip_bad:
                    raise DataError(
                        f"{path}, line {number} is not UTF-8 at byte {error.start} (the first is 0); save the file as "
                        "UTF-8, or leave such lines out with --skip-bad-rows"
                    ) from error
                yield number, None
                continue
            yield number, unicodedata.normalize("NFC", text.removeprefix("\ufeff") if number == 1 else text)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        place = f" after line {number}" if number else ""
        raise DataError(f"{path} cannot be read{place} ({reason}); --data takes a text file or a .gz of one") from error


def _read_lines(path: Path) -> Iterable[bytes]:
    with open_file(path) as file:
        is_packed = file.read(2) == _GZIP
    with gzip.open(path) if is_packed else path.open("rb") as lines:
        while line := lines.readline(_MOST_LINE_BYTES + 1):
            yield line
