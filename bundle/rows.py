"""Rows of unequal lengths as one array, the input of an ONNX network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.generic]  # encoded by a codec, not padded: ids, int32 [steps], or letters, float32 [steps]


def pad_right(rows: Sequence[Row]) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
    """Return rows padded with zeros to the longest row, [rows, steps], and their lengths, int32 [rows].

    There is at least one step, because an LSTM needs one.
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), max(1, lengths.max())), rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded, lengths
