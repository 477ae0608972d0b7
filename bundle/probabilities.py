"""Probabilities: what the outputs of every network have to be, and the rows that show whether they are."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bundle.codec import Codec
from bundle.rows import Row

# How far the sum of several outputs may be from 1. Softmax is computed in 32 bits in every form of a network: with 3 to
# 50 labels its sums were up to 2e-7 away, with weights of 32, 16 and 8 bits alike. Sigmoids are away by tenths.
SUM_TOLERANCE = 1e-3

_REPEATED_ROWS = 16
_REPEATED_STEPS = 16


def make_probe_rows(codec: Codec) -> Iterator[Row]:
    """Yield rows that a network must answer with probabilities, the longest row first.

    There are random rows of 1, 2, 4 and more steps, and rows that repeat one step: their outputs are the most extreme.
    """
    yield codec.make_longest_row()
    random = np.random.default_rng(0)
    steps = 1
    while steps < codec.length:
        yield codec.make_row(steps, random)
        steps *= 2
    for _ in range(_REPEATED_ROWS):
        yield np.repeat(codec.make_row(1, random), min(_REPEATED_STEPS, codec.length))


def find_fault(outputs: NDArray[np.floating]) -> str | None:
    """Return why outputs of a network, [rows, outputs], are no probabilities; None if they are."""
    if not np.isfinite(outputs).all():
        return "NaN or infinity"
    least, most = float(outputs.min(initial=0)), float(outputs.max(initial=1))
    if least < 0 or most > 1:
        wrong = least if least < 0 else most
        return f"{wrong:.4g}, which is no probability"
    if outputs.shape[1] > 1:
        sums = outputs.astype(np.float64).sum(axis=1)
        if len(sums) and abs(sums - 1).max() > SUM_TOLERANCE:
            wrong = float(sums[abs(sums - 1).argmax()])
            return f"{outputs.shape[1]} numbers whose sum is {wrong:.4g}, not 1"
    return None
