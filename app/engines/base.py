"""The interface of all engines."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ManifestError
from bundle.probabilities import find_fault, make_probe_rows
from bundle.rows import Row
from bundle.store import Bundle


class Engine(Protocol):
    """Runs one network. A row gets the same answer, to the bit, whatever other rows are run with it."""

    @property
    def batch_rows(self) -> int:
        """The most rows in a batch."""

    def count_steps(self, row: Row) -> int:
        """Return how many steps a row takes: its own length, or always the length of the network."""

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows of a codec, not padded, float32 [rows, outputs]; called in any thread."""


def check(engine: Engine, bundle: Bundle) -> None:
    """Run a network on its longest row, which also warms it up, and on some others.

    Raises:
        ManifestError: it does not answer with as many numbers as its labels need, or they are no probabilities.
    """
    for row in make_probe_rows(bundle.codec):
        answer = engine.run([row])
        expected = (1, bundle.manifest.outputs)
        if answer.shape != expected:
            raise ManifestError(
                f"the network in {bundle.folder} answers with the shape {answer.shape}, its manifest says {expected}; "
                "train the bundle again"
            )
        if fault := find_fault(answer):
            raise ManifestError(
                f"the network in {bundle.folder} answers with {fault}; train the bundle again, with a sigmoid at the "
                "end of the network for two labels, or a softmax for more"
            )
