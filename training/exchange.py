"""Bundles of weights that were trained with PyTorch, and the weights of bundles for it."""

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
        path: see `torch_network.read_state`; how modules are told apart, see `conversion.to_keras`.
        recipe: what the network is and reads.
        name: of the bundle.
        store: where it is published.
        source: of the reviews, for a review network; see `imdb.load`.
        console: for what is told meanwhile.
        vocabulary: of a review network, its words in the order of their ids, one a line; None for those that
            `keras.datasets.imdb` codes.

    Raises:
        ConversionError: the weights are not those of such a network.
        MissingPackageError: PyTorch is not installed.
        DataError, OSError: see `pipeline.train`.
    """
    require_torch()
    from training.convert import torch_network

    state = torch_network.read_state(path)
    settings, task = recipe.settings, TRAINED[recipe.task]
    if not isinstance(settings, TrainingSettings):
        raise ConversionError(f"{recipe.name} pools what its LSTM gives; choose a recipe of an LSTM and a linear layer")
    # Masked as well: the last state behind packed sequences is that behind the steps that are no padding.
    plain = {**task.plain, "mask_padding": settings.mask_padding}
    if wrong := settings.differences(**plain):
        raise ConversionError(f"a network of nn.LSTM and a linear layer cannot be the recipe's; set {wrong}")
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
        raise ConversionError(f"{bundle.folder} is more than nn.LSTM and a linear layer, which would have {wrong}")
    torch_network.write_state(to_torch(keras.saving.load_model(bundle.model_path)), path)
