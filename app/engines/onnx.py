"""Runs the ONNX file of a bundle with ONNX Runtime.

The graph itself leaves the padding out, so that a batch costs as many steps as its longest row has.
"""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.engines.amx import without_matrix_units
from app.engines.base import check
from bundle.manifest import Precision
from bundle.rows import Row, pad_right
from bundle.store import Bundle

with without_matrix_units():
    import onnxruntime

_ERRORS = 3  # ONNX Runtime's number for the least severe level that it prints: its lines are no JSON


class OnnxEngine:
    """A session of ONNX Runtime."""

    def __init__(self, bundle: Bundle, precision: Precision | None = None, threads: int = 1) -> None:
        """Load a network in one of its forms, by default the one that its manifest names, and run it once.

        Raises:
            ManifestError: the network does not fit its manifest.
        """
        described = bundle.manifest.onnx
        assert described is not None
        precision = precision or described.default
        self.batch_rows = described.forms[precision].batch_rows
        self._length = bundle.codec.length if described.every_step else None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1  # the layers of a network wait for one another
        options.log_severity_level = _ERRORS
        # It would remember a plan for every shape of a batch, and there are thousands.
        options.enable_mem_pattern = False
        path = os.fspath(bundle.onnx_path(precision))
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._rows, self._lengths = (each.name for each in self._session.get_inputs())
        check(self, bundle)

    def count_steps(self, row: Row) -> int:
        """Return how many steps a row takes: see `Engine`."""
        return self._length or len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows, float32 [rows, outputs]: see `Engine`."""
        padded, lengths = pad_right(rows)
        answers: NDArray[np.float32] = self._session.run(None, {self._rows: padded, self._lengths: lengths})[0]
        return answers
