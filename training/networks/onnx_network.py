"""A network as ONNX, run by ONNX Runtime in training."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.onnx_session import OnnxSession
from bundle.rows import Row

_BATCH = 64  # rows at once


class OnnxNetwork(OnnxSession):
    """A network that answers any number of rows, by default on all processor cores."""

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        """Load it from a file, or from the bytes of a file."""
        super().__init__(model, threads or len(os.sched_getaffinity(0)))

    def predict(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to any number of rows, float32 [rows, outputs]; rows of similar lengths share a batch."""
        parts = list(_group_by_length(rows))
        answers = np.concatenate([self.run([rows[index] for index in part]) for part in parts])
        in_order = np.empty_like(answers)
        in_order[np.concatenate(parts)] = answers
        return in_order


def _group_by_length(rows: Sequence[Row]) -> Iterator[NDArray[np.intp]]:
    order = np.argsort([len(row) for row in rows], kind="stable")
    return (order[at : at + _BATCH] for at in range(0, len(order), _BATCH))
