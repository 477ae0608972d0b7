"""Rows for comparing networks: random rows, and the rows of examples."""

import numpy as np

from bundle.codec import Codec
from bundle.rows import Row
from training.data.examples import Examples

_SHORT_ROWS = 16  # this many of the shortest and of the longest lengths are compared


def make_rows(codec: Codec, seed: int = 0) -> list[Row]:
    """Return rows of random ids or letters, including the shortest and the longest possible rows.

    They have all short lengths, as many of the longest lengths, and some between; the first row is empty.
    """
    random = np.random.default_rng(seed)
    length = codec.length
    lengths = {*range(_SHORT_ROWS), length // 3, length // 2, *range(length - _SHORT_ROWS, length + 1)}
    return [codec.make_row(steps, random) for steps in sorted(lengths) if 0 <= steps <= length]


def to_rows(examples: Examples, codec: Codec) -> list[Row]:
    """Return the inputs of examples, which have padding on the left, as rows without padding."""
    inputs = examples.inputs.reshape(len(examples.inputs), -1)
    starts = (inputs != codec.padding).argmax(axis=1)
    return [row[start:] for row, start in zip(inputs, starts, strict=True)]
