"""A seeded split of rows into two parts: by units that stay together, and with equal shares of the labels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_PASSES = 10


def choose_part(units: NDArray[np.uint64], labels: NDArray[np.int32], share: float, seed: int) -> NDArray[np.bool_]:
    """Return the rows of a part, bool [rows].

    Rows of one unit are on one side. Of each label, the part has `share` of the rows, or as near as the units allow,
    and at least one row as long as one remains outside. The choice depends on the rows, not on their order.

    Args:
        units: the unit of each row, uint64 [rows].
        labels: the label of each row, from 0 on, int32 [rows].
        share: of the rows, between 0 and 1.
        seed: random seed.
    """
    distinct, unit_of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    ranks = np.random.default_rng(seed).permutation(len(distinct))
    several = sizes[unit_of_row] > 1
    taken = np.zeros(len(units), bool)
    taken[several] = _choose_units(unit_of_row[several], labels[several], ranks, share)
    for label in np.unique(labels):
        members = labels == label
        goal = min(max(round(share * members.sum()), 1), members.sum() - 1)
        single = np.flatnonzero(members & ~several)
        single = single[np.argsort(ranks[unit_of_row[single]])]
        taken[single[: max(goal - (taken & members).sum(), 0)]] = True
    return taken


def _choose_units(
    unit_of_row: NDArray[np.intp], labels: NDArray[np.int32], ranks: NDArray[np.int64], share: float
) -> NDArray[np.bool_]:
    """Return the rows of a part of units with several rows each, bool [rows].

    In random order, each unit moves if that brings the labels nearer to their shares. Squared differences are divided
    by the label's rows, as in a chi-squared test, so that rare labels count.
    """
    totals = np.bincount(labels)
    weights = (1 / np.maximum(totals, 1)).tolist()
    missing = (share * totals).tolist()
    units = list(_list_units(unit_of_row, labels, ranks))
    chosen = np.zeros(len(ranks), bool)

    def gain(unit: int, counts: list[tuple[int, int]]) -> float:
        way = -1 if chosen[unit] else 1
        return float(sum(weights[label] * count * (2 * way * missing[label] - count) for label, count in counts))

    def move(unit: int, counts: list[tuple[int, int]]) -> None:
        way = -1 if chosen[unit] else 1
        chosen[unit] = not chosen[unit]
        for label, count in counts:
            missing[label] -= way * count

    for _ in range(_PASSES):
        before = chosen.copy()
        for unit in units:
            if gain(*unit) > 0:
                move(*unit)
        if np.array_equal(chosen, before):
            break
    if len(units) > 1 and not chosen.any():  # each is larger than the part
        move(*max(units, key=lambda unit: gain(*unit)))
    return chosen[unit_of_row]


def _list_units(
    unit_of_row: NDArray[np.intp], labels: NDArray[np.int32], ranks: NDArray[np.int64]
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each unit in random order, with its labels and their rows."""
    if not len(labels):
        return
    width = int(labels.max()) + 1
    codes, rows = np.unique(unit_of_row * width + labels, return_counts=True)
    units = codes // width
    order = np.argsort(ranks[units], kind="stable")
    counts = list(zip((codes[order] % width).tolist(), rows[order].tolist(), strict=True))
    starts = np.flatnonzero(np.diff(units[order], prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(counts)], strict=True):
        yield int(units[order[start]]), counts[start:end]
