"""The result of a training in memory, and the data that a published bundle is measured on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras

from bundle.codec import Codec
from bundle.manifest import Dataset
from bundle.store import Bundle
from training.data.examples import Examples
from training.errors import RecipeError
from training.loops.fit import History


@dataclass(frozen=True)
class Trained:
    """A network in memory with all data for its bundle.

    Attributes:
        network: the network.
        codec: the codec of its rows.
        history: the history of its training; empty if it was trained elsewhere.
        test: the test examples.
        dataset: the manifest's description of the data.
        held_out: examples of the training data that it was not trained on, if there are any.
        data: the part of the dataset that `TrainedTask.analyse` needs.
        stages: the section of a card on the stages of the training, Markdown.
        seconds: the time of the stages, which may have been run long before.
        reports_per_epoch: number of values in the history per epoch.
        with_torch: whether PyTorch trained it.
        baseline: figures of a simpler model on the same test examples, as in `accuracy`.
        learnt_from: SHA-256 of further data that it learnt from, by their field in `Sources`.
        labels: of the bundle, in the order of the outputs; by default those of the task.
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
    learnt_from: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    baseline: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BundleData:
    """The data that a bundle is measured on.

    Attributes:
        test: the test examples.
        held_out: held-out training examples; None if the network was trained on all examples, or elsewhere.
        sha256: SHA-256 of the dataset.
        data: see `Trained`.
    """

    test: Examples
    held_out: Examples | None
    sha256: str | None
    data: object = None


def take_weights(network: keras.Model, start: Bundle) -> None:
    """Copy the weights of a bundle's network to a network.

    Raises:
        RecipeError: the weights have other shapes.
    """
    weights = keras.saving.load_model(start.model_path).get_weights()
    found, expected = ([weight.shape for weight in those] for those in (weights, network.get_weights()))
    if found != expected:
        raise RecipeError(
            f"the weights in {start.folder} have the shapes {found}, the weights of this recipe {expected}; "
            "set the recipe's fields to the values in the bundle's card"
        )
    network.set_weights(weights)
