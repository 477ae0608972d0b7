"""Bundles of weights that were trained with PyTorch, and the weights of bundles for it."""

from pathlib import Path

import keras
from pydantic import JsonValue
from rich.console import Console

from bundle.store import Bundle, Store, hash_file, read_vocabulary
from training import alphabet, coding, conversion, networks, pipeline
from training.bundle_data import read_settings
from training.errors import ConversionError
from training.recipes import Recipe
from training.settings import PLAIN_LETTERS, PLAIN_STACK, LetterSettings, ReviewSettings, StagedSettings
from training.trained import Trained


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
    state = conversion.import_torch_network().read_state(path)
    settings = recipe.settings
    if isinstance(settings, StagedSettings):
        raise ConversionError(f"{recipe.name} pools what its LSTM gives; choose a recipe of an LSTM and a linear layer")
    # Masked as well: the last state behind packed sequences is that behind the steps that are no padding.
    plain = _plain(settings) | {"mask_padding": settings.mask_padding}
    if wrong := settings.differences(**plain):
        raise ConversionError(f"a network of nn.LSTM and a linear layer cannot be the recipe's; set {wrong}")
    with store.stage(name) as folder:
        trained = _convert(state, settings, vocabulary, source, console)
        origin: dict[str, JsonValue] = {"converted": {"file": path.name, "sha256": hash_file(path)}}
        return pipeline.publish(trained, recipe, name, store, folder, 0, origin, console)


def export_bundle(bundle: Bundle, path: Path) -> None:
    """Write the weights of a bundle as the state dict of a `torch_network.Network`.

    Raises:
        ConversionError: PyTorch has no such network.
        MissingPackageError: PyTorch is not installed.
        OSError: the file cannot be written.
    """
    torch_network = conversion.import_torch_network()
    settings = read_settings(bundle)
    if wrong := settings.differences(**_plain(settings)):
        raise ConversionError(f"{bundle.folder} is more than nn.LSTM and a linear layer, which would have {wrong}")
    torch_network.write_state(conversion.to_torch(keras.saving.load_model(bundle.model_path)), path)


def _plain(settings: LetterSettings | ReviewSettings) -> dict[str, object]:
    """Return what the settings have to be for a network of nn.LSTM and a linear layer."""
    return PLAIN_LETTERS if isinstance(settings, LetterSettings) else PLAIN_STACK


def _convert(
    state: conversion.State,
    settings: LetterSettings | ReviewSettings,
    vocabulary: Path | None,
    source: Path | None,
    console: Console,
) -> Trained:
    """Return the network of a recipe with weights from PyTorch, and what it is evaluated on, which is read last.

    Raises:
        ConversionError: the weights are not those of such a network, or it is not known which words it reads.
    """
    if isinstance(settings, LetterSettings):
        codec = coding.make_letter_codec(settings)
        network = networks.build_letter_network(settings, codec)
        conversion.to_keras(state, network)
        patterns = alphabet.make_patterns(settings)
        return Trained(network, codec, {}, *coding.describe_patterns(codec, settings, patterns, 0))
    if vocabulary is None and settings.tokeniser != "keras":
        raise ConversionError(
            f"tokeniser={settings.tokeniser} has no words of its own; pass the network's, --vocabulary"
        )
    words = coding.make_review_codec(settings, read_vocabulary(vocabulary or coding.KERAS_WORDS))
    network = networks.build_review_network(settings, words.preprocessing)
    conversion.to_keras(state, network)
    data = coding.load_reviews(source, console)
    tested = coding.describe_reviews(words, data, 0, console)
    return Trained(network, words, {}, *tested, data=data)
