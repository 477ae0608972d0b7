"""The reference of a bundle: how its inputs and answers are distributed on data that it was measured on.

The service compares live requests with it. The file is optional.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from bundle.errors import ManifestError, explain
from bundle.files import read_file

REFERENCE_FILE = "reference.json"

# Upper bounds of the buckets of each measure; a last bucket has what is above.
# `length`: words or letters of an input, also those that the network does not read.
# `unknown_share`: of the words that are read, the share of those that the model does not know.
# `probability`: see `find_probability`.
BOUNDS: dict[str, tuple[float, ...]] = {
    "length": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    "unknown_share": (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    "probability": (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
}


def find_probability(output: NDArray[np.float32]) -> float:
    """Return the probability that is compared: of the second of two labels, or of the likeliest of several.

    Args:
        output: of one row, float32 [outputs].
    """
    return float(output[0] if len(output) == 1 else output.max())


class Reference(BaseModel):
    """The number of examples in each bucket of each measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(description="The examples that were counted.")
    bounds: dict[str, tuple[float, ...]] = Field(
        description="Upper bounds of the buckets by measure, without infinity."
    )
    counts: dict[str, tuple[NonNegativeInt, ...]] = Field(description="Examples in each bucket, one more than bounds.")

    @model_validator(mode="after")
    def _every_measure_is_known(self) -> Self:
        for measure in self.bounds.keys() | self.counts.keys():
            known, counts = BOUNDS.get(measure, ()), self.counts.get(measure, ())
            if self.bounds.get(measure) != known:
                raise ValueError(f"this release counts {measure} in other buckets")
            if len(counts) != len(known) + 1 or not any(counts):
                raise ValueError(f"{measure} has {sum(counts)} examples in {len(counts)} of {len(known) + 1} buckets")
        return self

    @classmethod
    def count(cls, data: str, values: Mapping[str, Sequence[float] | NDArray[np.floating]]) -> Self:
        """Return the reference of values by measure; `data` describes the examples."""
        bounds = {measure: BOUNDS[measure] for measure in values}
        counts = {}
        for measure, found in values.items():
            places = np.searchsorted(bounds[measure], np.asarray(found, np.float64))
            counts[measure] = tuple(np.bincount(places, minlength=len(bounds[measure]) + 1).tolist())
        return cls(data=data, bounds=bounds, counts=counts)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the reference in the folder of a bundle.

        Raises:
            ManifestError: it cannot be read, or this release counts in other buckets.
        """
        path = folder / REFERENCE_FILE
        try:
            return cls.model_validate(json.loads(read_file(path)))
        except (OSError, ValueError, RecursionError) as error:
            raise ManifestError(
                f"{path} is not a reference of this release ({explain(error)}); train the bundle again"
            ) from error

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / REFERENCE_FILE).write_text(f"{json.dumps(self.model_dump(), indent=1)}\n", encoding="utf-8")

    def share(self, measure: str) -> list[float]:
        """Return the share of the examples in each bucket of a measure."""
        counts = self.counts[measure]
        return [count / sum(counts) for count in counts]
