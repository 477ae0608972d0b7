"""The interface of all engines."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ManifestError
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
    """Run a network once on its longest row, which also warms it up.

    Raises:
        ManifestError: it does not answer with as many numbers as the manifest has labels.
    """
    answer = engine.run([bundle.codec.make_longest_row()])
    outputs = bundle.manifest.outputs
    if answer.shape != (1, outputs):
        raise ManifestError(
            f"the network in {bundle.folder} answers with the shape {answer.shape}, its manifest says {(1, outputs)}; "
            "train the bundle again"
        )
    if not np.isfinite(answer).all():
        raise ManifestError(f"the network in {bundle.folder} answers with NaN or infinity; train the bundle again")
