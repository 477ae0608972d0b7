"""Rows of unequal lengths as one array: what a network as ONNX reads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.generic]  # of a codec, not padded: ids, int32 [steps], or letters, float32 [steps]


def pad_right(rows: Sequence[Row]) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
    """Return rows filled up with zeros to the longest of them, [rows, steps], and their lengths, int32 [rows].

    There is one step at least, as an LSTM needs one.
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), max(1, lengths.max())), rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded, lengths
