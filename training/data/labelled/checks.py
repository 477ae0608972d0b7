"""What is wrong with labelled texts, as errors, and what is odd, as sentences."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.labelled.description import LabelDescription, OddRows, SplitDescription
from training.data.labelled.labels import MOST_LABELS, LabelMap, find_spellings
from training.data.labelled.scan import Counts
from training.data.labelled.texts import Texts
from training.errors import DataError
from training.quantities import count

LEAST_EXAMPLES = 2  # of a label: one to train on and one to test with
FEW_EXAMPLES = 5
IMBALANCE = 10

_SHOWN = 3


def check_labels(labelled: Texts, labels: Sequence[str], counts: Counts, label_map: LabelMap | None) -> None:
    """Check that something can be learnt from the labels.

    Raises:
        DataError: it cannot.
    """
    path = labelled.source.path
    if len(labels) < 2:
        found = f"all labelled rows have the label {labels[0]!r}" if labels else "no row has a label"
        if label_map is not None:
            known = sorted(counts.mapped | counts.dropped.keys())
            found += f" after the label map; the labels of the file are {_quote(known[:MOST_LABELS]) or 'none'}"
        raise DataError(f"{path}: {found}; two labels or more are needed")
    if spellings := find_spellings(labels):
        groups = [*spellings, *([label] for label in labels if not any(label in group for group in spellings))]
        joined = ";".join(f"{','.join(group)}={group[-1]}" for group in groups)
        raise DataError(
            f"{path} has the labels {_quote(spellings[0])}, which differ only in case; join them, as in "
            f'--label-map "{joined}"'
        )
    if len(labels) == len(labelled):
        column = labelled.source.columns.label
        raise DataError(
            f"{path} has as many labels as labelled rows ({len(labels)}), so {column or 'the label'!r} is probably "
            "another column; name the right one with --label-column"
        )
    rows = dict(zip(labels, labelled.count(len(labels)), strict=True))
    if rare := [label for label, count in rows.items() if count < LEAST_EXAMPLES]:
        raise DataError(
            f"{path} has only one row of {_quote(rare)}; add rows of the label, or leave it out with --label-map"
        )


def check_parts(train: Texts, test: Texts, labels: Sequence[str]) -> None:
    """Check that there is something to train on and to test with.

    Raises:
        DataError: there is not.
    """
    if not len(test):
        raise DataError(f"{test.source.path} has no labelled rows to test with; add some")
    if lacking := [label for label, count in zip(labels, train.count(len(labels)), strict=True) if not count]:
        raise DataError(
            f"no training row has the label {_quote(lacking)}: all of its texts or groups are in the test part; "
            "add others, or choose another seed"
        )


def find_contradictions(parts: Sequence[Texts], labels: Sequence[str]) -> tuple[int, list[str]]:
    """Return the number of texts that have several labels, and the first of them: two of their rows with the labels."""
    hashes = np.concatenate([part.hashes for part in parts])
    codes = np.concatenate([part.labels for part in parts])
    order = np.lexsort((codes, hashes))
    same_text = hashes[order[1:]] == hashes[order[:-1]]
    differing = np.flatnonzero(same_text & (codes[order[1:]] != codes[order[:-1]]))
    pairs = np.sort(np.stack([order[differing], order[differing + 1]], axis=1), axis=1)
    _, first = np.unique(hashes[order[differing]], return_index=True)  # one pair for each text
    named = [
        " and ".join(_name_row(parts, labels, row) for row in pair) for pair in sorted(pairs[first].tolist())[:_SHOWN]
    ]
    return len(first), named


def count_repeated(hashes: NDArray[np.uint64]) -> int:
    """Return the number of rows whose text an earlier row has."""
    ordered = np.sort(hashes)  # `np.unique` needs five times as much memory
    return int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def list_notes(
    odd: OddRows,
    counts: Counts,
    labels: Sequence[LabelDescription],
    contradictions: Sequence[str],
    split: SplitDescription,
    label_map: LabelMap | None,
) -> Iterator[str]:
    """Yield a sentence about each odd thing."""
    if odd.bad:
        yield f"{count(odd.bad, 'row')} could not be read and left out. {'; '.join(counts.first_bad[:_SHOWN])}"
    if odd.empty:
        yield f"{count(odd.empty, 'row')} without a text left out"
    if odd.dropped_labels:
        each = [f"{label} ({rows:,})" for label, rows in odd.dropped_labels.items()]
        shown = ", ".join([*each[:_SHOWN], *(["..."] if len(each) > _SHOWN else [])])
        yield f"{count(sum(odd.dropped_labels.values()), 'row')} left out, whose labels the map does not name: {shown}"
    if unused := sorted((label_map or {}).keys() - counts.mapped):
        yield f"the label map names {_quote(unused)}, which no row has"
    if odd.missing_labels:
        words = ", ".join(f"{word} ({rows:,})" for word, rows in odd.missing_labels.items())
        yield (
            f"{count(sum(odd.missing_labels.values()), 'row')} with a word for a missing label, so without a label: "
            f"{words}; if it is a label, name it in --label-map"
        )
    if odd.test_without_label:
        yield f"{count(odd.test_without_label, 'row')} of the test data without a label left out"
    if odd.in_both_parts:
        yield f"{count(odd.in_both_parts, 'row')} left out of training: the same texts are test texts"
    if odd.duplicates:
        apart = "" if split.kind != "random" else "; all rows of one text are in the same part"
        yield f"{count(odd.duplicates, 'row')} with a text that an earlier row has{apart}"
    if odd.contradictions:
        yield f"texts with different labels: {odd.contradictions:,}, such as {'; '.join(contradictions)}"
    if odd.without_group:
        yield f"{count(odd.without_group, 'row')} without a group; each text of them is a group of its own"
    yield from _list_notes_on_labels(labels)


def _list_notes_on_labels(labels: Sequence[LabelDescription]) -> Iterator[str]:
    rows = {label.label: label.train + label.test for label in labels}
    for label in labels:
        if rows[label.label] < FEW_EXAMPLES:
            yield f"the label {label.label!r} has only {rows[label.label]} rows: too few to learn it or to measure it"
        if not label.test:
            yield f"the label {label.label!r} has no test rows, so its accuracy cannot be measured"
    most, least = max(rows, key=lambda label: rows[label]), min(rows, key=lambda label: rows[label])
    if rows[most] > IMBALANCE * rows[least]:
        yield (
            f"imbalance: {rows[most]:,} rows of {most!r} for {rows[least]:,} of {least!r}; "
            "look at the figures of each label, not at the accuracy alone"
        )


def _name_row(parts: Sequence[Texts], labels: Sequence[str], row: int) -> str:
    for part in parts:
        if row < len(part):
            return f"{part.source.locate(part.positions[row])} ({labels[part.labels[row]]})"
        row -= len(part)
    raise AssertionError("This is a bug: a row is in no part")


def _quote(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
