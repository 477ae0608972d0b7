"""Examples that networks are trained and measured on, and how some of them are held out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import RecipeError


@dataclass(frozen=True)
class Examples:
    """Inputs of a network, and the class of each, int32 [examples]."""

    inputs: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int32]

    def take(self, indices: NDArray[np.intp]) -> "Examples":
        """Return the examples at these indices, in their order."""
        return Examples(self.inputs[indices], self.labels[indices])


def split_randomly(count: int, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of all examples in random order, in two parts; the second has a share of them."""
    order = np.random.default_rng(seed).permutation(count)
    first = count - count_held_out(count, share)
    return order[:first], order[first:]


def count_held_out(count: int, share: float) -> int:
    """Return how many examples a share of them is.

    Raises:
        RecipeError: it is all of them.
    """
    held_out = round(share * count)
    if held_out == count:
        raise RecipeError(f"validation_share={share} of {count} examples leaves none to train on; choose a smaller one")
    return held_out
