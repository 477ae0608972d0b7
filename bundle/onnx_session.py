"""The network of a bundle in ONNX Runtime, set up alike for the service and for training, which compares and times it.

The graph itself leaves the padding out, so that a batch costs as many steps as its longest row has.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.amx import without_matrix_units
from bundle.rows import Row, pad_right
from bundle.store import VECTORS_FILE

with without_matrix_units():
    import onnxruntime

_FATAL = 4  # ONNX Runtime's number for the least severe level that it prints: its lines are no JSON


class OnnxSession:
    """One network, ready to run."""

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        """Load it from a file with the word vectors that lie beside, or from the bytes of one without them.

        Nothing of the files is needed, or has any effect, after that.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1  # the layers of a network wait for one another
        options.log_severity_level = _FATAL  # it raises errors besides
        # It would remember a plan for every shape of a batch, and there are thousands.
        options.enable_mem_pattern = False
        if isinstance(model, Path):
            # By itself it would map the file of the word vectors, and read from it what it holds later.
            vectors = model.with_name(VECTORS_FILE)
            if vectors.exists():
                contents = vectors.read_bytes()
                options.add_external_initializers_from_files_in_memory([VECTORS_FILE], [contents], [len(contents)])
            model = model.read_bytes()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._rows, self._lengths = (each.name for each in self._session.get_inputs())

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows in one batch, float32 [rows, outputs]; called in any thread."""
        return self.fetch(rows)[0]

    def fetch(self, rows: Sequence[Row], outputs: Sequence[str] | None = None) -> list[NDArray[np.float32]]:
        """Return outputs of the graph by their names, for rows in one batch; by default all, the answers first."""
        padded, lengths = pad_right(rows)
        fetched: list[NDArray[np.float32]] = self._session.run(outputs, {self._rows: padded, self._lengths: lengths})
        return fetched
