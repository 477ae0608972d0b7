"""Runs the ONNX file of a bundle with ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.engines.base import check
from bundle.manifest import Precision
from bundle.onnx_session import OnnxSession
from bundle.rows import Row
from bundle.store import Bundle


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
        self._session = OnnxSession(bundle.onnx_path(precision), threads)
        check(self, bundle)

    def count_steps(self, row: Row) -> int:
        """Return how many steps a row takes: see `Engine`."""
        return self._length or len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows, float32 [rows, outputs]: see `Engine`."""
        return self._session.run(rows)
