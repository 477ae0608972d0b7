"""Bundles from weights that were trained with PyTorch, and the weights of bundles for PyTorch."""

from dataclasses import replace
from pathlib import Path

import keras
from pydantic import JsonValue
from rich.console import Console

from bundle.files import hash_file
from bundle.store import Bundle, Store
from training import pipeline
from training.bundle_data import read_settings
from training.convert.conversion import to_torch
from training.convert.state import require_torch
from training.errors import ConversionError
from training.recipes.recipe import Recipe
from training.recipes.stack import TrainingSettings
from training.tasks import TRAINED


def import_bundle(
    path: Path, recipe: Recipe, name: str, store: Store, source: Path | None, console: Console, vocabulary: Path | None
) -> Bundle:
    """Publish the weights in a PyTorch state dict as the network of a recipe, evaluated on its data.

    Args:
        path: the file of the state dict, see `torch_network.read_state`; `conversion.to_keras` identifies its modules.
        recipe: defines the network and its input.
        name: name of the bundle.
        store: the store to publish to.
        source: the reviews, for a review network; see `imdb.load`.
        console: shows the progress.
        vocabulary: for a review network, a file of its words in the order of their ids, one per line; None for the
            words of `keras.datasets.imdb`.

    Raises:
        ConversionError: the weights do not fit such a network.
        MissingPackageError: PyTorch is not installed.
        DataError, OSError: see `pipeline.train`.
    """
    require_torch()
    from training.convert import torch_network

    state = torch_network.read_state(path)
    settings, task = recipe.settings, TRAINED[recipe.task]
    if not isinstance(settings, TrainingSettings):
        raise ConversionError(f"{recipe.name} pools the LSTM's states; choose a recipe of an LSTM and a linear layer")
    # A mask is allowed: for packed sequences, PyTorch's last state is the state after the last step before padding.
    plain = {**task.plain, "mask_padding": settings.mask_padding}
    if wrong := settings.differences(**plain):
        raise ConversionError(f"the recipe is not a network of nn.LSTM and a linear layer; set {wrong}")
    with store.stage(name) as folder:
        trained = replace(task.convert(state, settings, vocabulary, source, console), with_torch=True)
        origin: dict[str, JsonValue] = {"converted": {"file": path.name, "sha256": hash_file(path)}}
        return pipeline.publish(trained, recipe, name, store, folder, 0, origin, console)


def export_bundle(bundle: Bundle, path: Path) -> None:
    """Write the weights of a bundle as the state dict of a `torch_network.Network`.

    Raises:
        ConversionError: PyTorch has no such network.
        MissingPackageError: PyTorch is not installed.
        OSError: the file cannot be written.
    """
    require_torch()
    from training.convert import torch_network

    settings = read_settings(bundle)
    if wrong := settings.differences(**TRAINED[bundle.manifest.task].plain):
        raise ConversionError(f"{bundle.folder} has more than nn.LSTM and a linear layer; these would have {wrong}")
    torch_network.write_state(to_torch(keras.saving.load_model(bundle.model_path)), path)
