"""The Stanford Sentiment Treebank: film sentences parsed into phrases, each labelled by people from 0 to 4.

Source: Socher et al. 2013, "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank".
"""

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from training.errors import DataError

NAME = "Stanford Sentiment Treebank"
SHA256 = "3287e6df56acb2ccba2bc3ebb7a696c0daee8d2fa00988348bbf37796bc3739d"  # of the published files
NEUTRAL = 2
LABELS = 5
TARGETS = (0.02, 0.13, 0.5, 0.87, 0.98)  # the probability of positive that a label is taken as

_FILES = ("train.txt", "dev.txt")
_TREE = re.compile(r"\((\d) |([^() \n]+)|(\))")
# How the Penn Treebank writes brackets and quotation marks.
_WRITTEN = {"-LRB-": "(", "-RRB-": ")", "``": '"', "''": '"', "\\/": "/"}
_BEFORE = re.compile(r" (?=(?:[.,;:!?]|-RRB-|''|'(?:s|re|ve|ll|d|m)|n't)(?:\s|$))")
_AFTER = re.compile(r"(?:(?<=-LRB-)|(?<=``)) ")
_WRITTEN_FORM = re.compile("|".join(map(re.escape, _WRITTEN)))


@dataclass(frozen=True)
class Phrase:
    """A phrase as people write it, and its label: 0 very negative, 2 neutral, 4 very positive."""

    text: str
    label: int
    words: int


@dataclass(frozen=True)
class Treebank:
    """The sentences of both parts; each is a list of its phrases, the whole sentence last.

    `sha256` is that of the two files, one after the other.
    """

    train: tuple[tuple[Phrase, ...], ...]
    development: tuple[tuple[Phrase, ...], ...]
    sha256: str


def load(source: Path) -> Treebank:
    """Read the treebank from its archive or from the folder unpacked from it.

    Raises:
        DataError: it is not there, or a file has a line that is no tree.
    """
    texts = list(_find_files(source))
    train, development = (tuple(_read(text, name)) for name, text in zip(_FILES, texts, strict=True))
    return Treebank(train, development, hashlib.sha256("".join(texts).encode()).hexdigest())


def _find_files(source: Path) -> Iterator[str]:
    """Yield the texts of the files of both parts."""
    try:
        if source.is_dir():
            found: dict[str, Callable[[], bytes]] = {path.name: path.read_bytes for path in source.rglob("*.txt")}
        else:
            archive = zipfile.ZipFile(source)
            found = {PurePosixPath(name).name: partial(archive.read, name) for name in archive.namelist()}
        for name in _FILES:
            if name not in found:
                raise DataError(f"{source} has no {name}; get the treebank's trees (train.txt and dev.txt)")
            yield found[name]().decode("utf-8")
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(f"the treebank {source} cannot be read: {error}; get it again") from error


def _read(text: str, name: str) -> Iterator[tuple[Phrase, ...]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield tuple(_parse(line))
            except (ValueError, IndexError) as error:
                raise DataError(f"{name}, line {number} is no tree: {line[:60]!r}; get the treebank again") from error


def _parse(line: str) -> Iterator[Phrase]:
    """Yield the phrases of a tree, each after its parts."""
    words: list[str] = []
    begun: list[tuple[int, int]] = []  # label and first word of each phrase that is not finished
    for label, word, end in _TREE.findall(line):
        if label:
            begun.append((int(label), len(words)))
        elif word:
            words.append(word)
        elif end:
            of_phrase, first = begun.pop()
            if of_phrase >= LABELS or first == len(words):
                raise ValueError(line)
            yield Phrase(_write(words[first:]), of_phrase, len(words) - first)
    if begun or not line.lstrip().startswith("("):
        raise ValueError(line)


def _write(words: list[str]) -> str:
    """Return words as people write them, without the spaces of the treebank."""
    joined = _AFTER.sub("", _BEFORE.sub("", " ".join(words)))
    return _WRITTEN_FORM.sub(lambda found: _WRITTEN[found[0]], joined)
