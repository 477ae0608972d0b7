"""The network of a bundle in ONNX Runtime. The service runs it, and training compares and times it, with one setup.

The graph itself skips the padding, so a batch costs as many steps as its longest row has.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.amx import without_matrix_units
from bundle.rows import Row, pad_right
from bundle.store import VECTORS_FILE

# Before the import. Otherwise ONNX Runtime, from 1.29 on, sends facts about every model to its makers, and writes an id
# of the machine and a database to the home folder.
# Source: https://github.com/microsoft/onnxruntime/pull/27379
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

with without_matrix_units():
    import onnxruntime

_FATAL = 4  # ONNX Runtime's number for the least severe level that it prints: its lines are not JSON


class OnnxSession:
    """One network, ready to run."""

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        """Load it from a file, with the word vectors beside it, or from the bytes of a file without word vectors.

        The files are not read again afterwards, so later changes to them have no effect.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1  # the layers of a network wait for one another
        options.log_severity_level = _FATAL  # errors are also raised as exceptions
        # A memory pattern keeps a plan for every shape of a batch, and there are thousands of shapes.
        options.enable_mem_pattern = False
        if isinstance(model, Path):
            # ONNX Runtime would map the file of the word vectors, and later changes to the file would change answers.
            vectors = model.with_name(VECTORS_FILE)
            if vectors.exists():
                contents = vectors.read_bytes()
                options.add_external_initializers_from_files_in_memory([VECTORS_FILE], [contents], [len(contents)])
            model = model.read_bytes()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._rows, self._lengths = (each.name for each in self._session.get_inputs())

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows in one batch, float32 [rows, outputs]; safe to call in any thread."""
        return self.fetch(rows)[0]

    def fetch(self, rows: Sequence[Row], outputs: Sequence[str] | None = None) -> list[NDArray[np.float32]]:
        """Return the named outputs of the graph for rows in one batch; by default all outputs, the answers first."""
        padded, lengths = pad_right(rows)
        fetched: list[NDArray[np.float32]] = self._session.run(outputs, {self._rows: padded, self._lengths: lengths})
        return fetched
