"""What a training leaves in memory, and what a published bundle is measured on."""

from dataclasses import dataclass

import keras

from bundle.codec import Codec
from bundle.manifest import Dataset
from bundle.store import Bundle
from training.data.examples import Examples
from training.errors import RecipeError
from training.loops.fit import History


@dataclass(frozen=True)
class Trained:
    """A network in memory with all that its bundle will say of it.

    Attributes:
        network: the network.
        codec: of the rows that it reads.
        history: of its training, empty if it was trained elsewhere.
        test: what it is measured on.
        dataset: what the manifest says of the data.
        held_out: examples of the training data that it was not trained on, if there are any.
        data: what `TrainedTask.analyse` needs of the dataset.
        stages: what a card says of the stages of the training, Markdown.
        seconds: of the stages, which may have been run long before.
        reports_per_epoch: of the history.
        with_torch: whether PyTorch trained it.
    """

    network: keras.Model
    codec: Codec
    history: History
    test: Examples
    dataset: Dataset
    held_out: Examples | None = None
    data: object = None
    stages: str = ""
    seconds: float | None = None
    reports_per_epoch: int = 1
    with_torch: bool = False


@dataclass(frozen=True)
class BundleData:
    """What a bundle is measured on.

    Attributes:
        test: the examples.
        held_out: examples of the training data; None where the network was trained on all, or elsewhere.
        sha256: of the dataset.
        data: see `Trained`.
    """

    test: Examples
    held_out: Examples | None
    sha256: str
    data: object = None


def take_weights(network: keras.Model, start: Bundle) -> None:
    """Give a network the weights of a bundle's.

    Raises:
        RecipeError: they have other shapes.
    """
    weights = keras.saving.load_model(start.model_path).get_weights()
    found, expected = ([weight.shape for weight in those] for those in (weights, network.get_weights()))
    if found != expected:
        raise RecipeError(
            f"the weights in {start.folder} have the shapes {found}, those of this recipe {expected}; "
            "set the recipe's fields as the bundle's card has them"
        )
    network.set_weights(weights)
