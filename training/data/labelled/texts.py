"""Rows of a user's data whose texts are not held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tables.table import BadRow
from training.data.labelled.description import DataDescription
from training.data.labelled.source import Source
from training.errors import DataError

UNLABELLED = -1


@dataclass(frozen=True)
class Texts:
    """Rows of a source. Their texts are read from it again whenever they are needed.

    Attributes:
        source: the source.
        positions: of the rows, ascending, int64 [rows].
        labels: the label of each row as an index of the labels, -1 without one, int32 [rows].
        hashes: of the texts without the space around them, uint64 [rows].
        units: rows with the same number belong together in a split, uint64 [rows]: see `choose_part`. A unit is a
            group, or all rows of a text if there are no groups.
    """

    source: Source
    positions: NDArray[np.int64]
    labels: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    units: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, chosen: NDArray[np.bool_]) -> "Texts":
        """Return the rows that are chosen, bool [rows]."""
        return Texts(self.source, self.positions[chosen], self.labels[chosen], self.hashes[chosen], self.units[chosen])

    def count(self, labels: int) -> list[int]:
        """Return the number of rows of each label."""
        counts: list[int] = np.bincount(self.labels[self.labels != UNLABELLED], minlength=labels).tolist()
        return counts

    def read(self) -> Iterator[str]:
        """Yield the text of each row, as it is in the source.

        Raises:
            DataError: the source changed since it was checked.
        """
        expected = iter(self.positions.tolist())
        position = next(expected, None)
        if position is None:
            return
        for row in self.source.read():
            if row.position == position:
                if isinstance(row, BadRow):
                    break
                yield row.text
                position = next(expected, None)
                if position is None:
                    return
        raise DataError(f"{self.source.locate(position)} changed while the data were read; start again")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts to train on and to test with.

    Attributes:
        train: labelled texts to train on.
        test: labelled texts to test with; none of them is in `train` or `unlabelled`.
        unlabelled: texts without a label.
        labels: the labels in their order; of two, the second is the positive one.
        description: of all of this.
    """

    train: Texts
    test: Texts
    unlabelled: Texts
    labels: tuple[str, ...]
    description: DataDescription
