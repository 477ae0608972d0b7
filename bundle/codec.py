"""The interface of codecs: the part of a bundle that converts an input to a row of numbers for its network."""

from abc import abstractmethod
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bundle.rows import Row


class Codec(Protocol):
    """Converts inputs to rows. The encoding method differs by task; these are the members that all codecs share."""

    @property
    def preprocessing(self) -> "Preprocessing":
        """The section of the manifest that describes this codec."""

    @property
    def length(self) -> int:
        """Time steps of the network; no row is longer."""

    @property
    def padding(self) -> np.generic:
        """The value of a padding step."""

    def make_longest_row(self) -> Row:
        """Return a valid row of the full length."""

    def make_row(self, steps: int, random: np.random.Generator, /) -> Row:
        """Return a random row with this number of steps, which may be 0."""

    def pad(self, rows: "list[Row]", /) -> NDArray[np.generic]:
        """Pad rows to the input of the Keras network, [rows, ...]; see `Preprocessing.pads_right`."""


class Preprocessing(BaseModel):
    """Root of the `preprocessing` sections of manifests; `kind` names the type of a section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    length: int

    @property
    def files(self) -> frozenset[str]:
        """Names of the files that the codec needs, besides the manifest."""
        return frozenset()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels of a bundle with this section; None if the section does not decide them."""
        return None

    @property
    def pads_right(self) -> bool:
        """Whether padding follows a row, not precedes it."""
        return False

    @abstractmethod
    def open_codec(self, folder: Path) -> Codec:
        """Return the codec for this section, with the files in the folder of its bundle.

        Raises:
            ManifestError: the files do not fit this section.
            SizeError: a file is too large.
        """
