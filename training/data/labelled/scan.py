"""One pass over a source: what each row is, without its text, and what is odd."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tables.table import BadRow
from training.data.labelled.labels import MOST_LABELS, LabelMap, clean_label, is_missing
from training.data.labelled.source import Row, Source
from training.data.labelled.texts import UNLABELLED
from training.errors import DataError

_SAMPLED_TEXTS = 2000
_SAMPLED_CHARACTERS = 500
_SHOWN = 3
_MOST_DROPPED = 10_000  # different labels that a map does not name


@dataclass
class Counts:
    """What is odd in a source.

    Attributes:
        rows: all rows, the bad and the empty ones too.
        bad: rows that cannot be read.
        first_bad: the first of them, with their places and the reasons.
        empty: rows without a text.
        characters: of all texts.
        without_group: rows without a group, if there are groups.
        dropped: rows by label that the map does not name.
        mapped: the labels that the map names, as far as they occur.
        missing: rows by label that is a word for a missing one.
    """

    rows: int = 0
    bad: int = 0
    first_bad: list[str] = field(default_factory=list)
    empty: int = 0
    characters: int = 0
    without_group: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    mapped: set[str] = field(default_factory=set)
    missing: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.rows + other.rows,
            self.bad + other.bad,
            [*self.first_bad, *other.first_bad],
            self.empty + other.empty,
            self.characters + other.characters,
            self.without_group + other.without_group,
            self.dropped + other.dropped,
            self.mapped | other.mapped,
            self.missing + other.missing,
        )


@dataclass(frozen=True)
class Scan:
    """The rows of a source that have a text.

    Attributes:
        source: the source.
        positions: of the rows, ascending, int64 [rows].
        texts: a hash of each text without the space around it, uint64 [rows].
        groups: a hash of each row's group, or of its text if it has none, uint64 [rows]; None without groups.
        labels: the label of each row as an index of `names`, -1 without one, int32 [rows].
        names: the labels, in the order of their first rows.
        counts: what is odd.
        sample: the beginnings of the first texts.
    """

    source: Source
    positions: NDArray[np.int64]
    texts: NDArray[np.uint64]
    groups: NDArray[np.uint64] | None
    labels: NDArray[np.int32]
    names: tuple[str, ...]
    counts: Counts
    sample: tuple[str, ...]


def scan(source: Source, label_map: LabelMap | None, skip_bad_rows: bool) -> Scan:
    """Read a source once.

    Raises:
        DataError: the source cannot be read, a row is bad and is not to be skipped, or there are too many labels.
    """
    scanner = _Scanner(source, label_map, skip_bad_rows)
    for row in source.read():
        scanner.add(row)
    return scanner.finish()


class _Scanner:
    """Collects the rows of a source."""

    def __init__(self, source: Source, label_map: LabelMap | None, skip_bad_rows: bool) -> None:
        self._source = source
        self._map = label_map
        self._skips = skip_bad_rows
        self._grouped = source.columns.group is not None
        self._positions, self._texts, self._groups, self._labels = array("q"), array("Q"), array("Q"), array("i")
        self._codes: dict[str, int] = {}
        self._counts = Counts()
        self._sample: list[str] = []

    def add(self, row: Row | BadRow) -> None:
        self._counts.rows += 1
        if isinstance(row, BadRow):
            self._add_bad(row)
            return
        text = row.text.strip()
        if not text:
            self._counts.empty += 1
            return
        if problem := _find_problem(text, row.label or ""):
            self._add_bad(BadRow(row.position, problem))
            return
        label = clean_label(row.label)
        if label is not None and is_missing(label) and label not in (self._map or {}):
            self._counts.missing[label] += 1
            label = None
        if label is not None and self._map is not None:
            if label not in self._map:
                self._drop(label)
                return
            self._counts.mapped.add(label)
            label = self._map[label]
        self._counts.characters += len(text)
        self._labels.append(UNLABELLED if label is None else self._encode(label))
        self._positions.append(row.position)
        self._texts.append(_hash(text))
        if self._grouped:
            self._add_group((row.group or "").strip())
        if len(self._sample) < _SAMPLED_TEXTS:
            self._sample.append(text[:_SAMPLED_CHARACTERS])

    def finish(self) -> Scan:
        return Scan(
            self._source,
            np.asarray(self._positions),
            np.asarray(self._texts),
            np.asarray(self._groups) if self._grouped else None,
            np.asarray(self._labels),
            tuple(self._codes),
            self._counts,
            tuple(self._sample),
        )

    def _add_bad(self, row: BadRow) -> None:
        message = f"{self._source.locate(row.position)} {row.reason}"
        if not self._skips:
            raise DataError(f"{message}. With --skip-bad-rows such rows are left out")
        self._counts.bad += 1
        if len(self._counts.first_bad) < _SHOWN:
            self._counts.first_bad.append(message)

    def _add_group(self, group: str) -> None:
        if is_missing(group):
            group = ""
        self._counts.without_group += not group
        self._groups.append(_hash(group) if group else self._texts[-1])

    def _drop(self, label: str) -> None:
        self._counts.dropped[label] += 1
        if len(self._counts.dropped) > _MOST_DROPPED:
            raise self._refuse(self._counts.dropped)

    def _encode(self, label: str) -> int:
        code = self._codes.setdefault(label, len(self._codes))
        if code == MOST_LABELS:
            raise self._refuse(self._codes)
        return code

    def _refuse(self, labels: Iterable[str]) -> DataError:
        column = self._source.columns.label
        shown = ", ".join(repr(label[:40]) for label in islice(labels, _SHOWN))
        return DataError(
            f"{self._source.path} has more than {MOST_LABELS} labels{f' in {column!r}' if column else ''} "
            f"({shown}, ...), so this is probably another column; name the right one with --label-column"
        )


def _hash(text: str) -> int:
    """Return 64 bits: among a million texts two have the same with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _find_problem(*texts: str) -> str | None:
    """Return which character of texts cannot be a part of one; None if there is none."""
    for text in texts:
        if "\0" in text:
            return "has a NUL character, which no text has; is it a binary file, or in another encoding?"
        try:
            text.encode()
        except UnicodeEncodeError:
            return "has half of a surrogate pair, which is no character; write the text again as valid Unicode"
    return None
