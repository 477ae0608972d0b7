"""Examples for training and measuring networks, and functions to hold out some of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import RecipeError


@dataclass(frozen=True)
class Examples:
    """Inputs of a network, and the class of each.

    Attributes:
        inputs: of the network, [examples, ...].
        labels: the class of each, int32 [examples].
        targets: probabilities of the labels to train on instead of the labels, float32 [examples, outputs].
    """

    inputs: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int32]
    targets: NDArray[np.float32] | None = None

    def take(self, indices: NDArray[np.intp]) -> "Examples":
        """Return the examples at these indices, in their order."""
        targets = None if self.targets is None else self.targets[indices]
        return Examples(self.inputs[indices], self.labels[indices], targets)


def split_randomly(count: int, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of all examples in random order, in two parts; the second has a share of them."""
    order = np.random.default_rng(seed).permutation(count)
    first = count - count_held_out(count, share)
    return order[:first], order[first:]


def count_held_out(count: int, share: float) -> int:
    """Return the number of examples in a share of them.

    Raises:
        RecipeError: the share is all examples.
    """
    held_out = round(share * count)
    if held_out == count:
        raise RecipeError(
            f"validation_share={share} of {count} examples leaves none to train on; choose a smaller share"
        )
    return held_out
