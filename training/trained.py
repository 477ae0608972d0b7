"""From a recipe to a trained network in memory, with all that its bundle will say of it."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.manifest import Dataset
from bundle.reviews import ReviewCodec
from bundle.store import Bundle
from training import alphabet, coding, conversion, imdb, networks
from training.errors import ConversionError, RecipeError
from training.fit import Examples, History, fit, split_randomly
from training.recipes import Recipe
from training.settings import RUNS, LetterSettings, ReviewSettings, StagedSettings
from training.stages import Stages

AGREEMENT = 1e-5  # between the answers of two frameworks


@dataclass(frozen=True)
class Trained:
    """A network in memory with all that its bundle will say of it.

    `data` is what a review network was trained and tested on; `stages` is what a card tells of those there were, and
    `seconds` are theirs, which may have been run long before; the history has `reports_per_epoch`.
    """

    network: keras.Model
    codec: LetterCodec | ReviewCodec
    history: History
    test: Examples
    dataset: Dataset
    held_out: Examples | None = None  # of the training data
    data: imdb.Imdb | None = None
    stages: str = ""
    seconds: float | None = None
    reports_per_epoch: int = 1


def fit_recipe(
    recipe: Recipe, source: Path | None, console: Console, start: Bundle | None = None, runs: Path = RUNS
) -> Trained:
    """Train the network of a recipe, from random weights or from those of a bundle.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the weights of the bundle are not those of such a network, or all examples are held out.
    """
    keras.utils.set_random_seed(recipe.settings.seed)
    if isinstance(recipe.settings, LetterSettings):
        return _train_letters(recipe.settings, start)
    if isinstance(recipe.settings, StagedSettings):
        if start:
            raise RecipeError(f"{recipe.name} begins with its own language model; leave --from out")
        return _train_in_stages(recipe.settings, source, console, runs)
    return _train_reviews(recipe.settings, source, console, start)


def _train_letters(settings: LetterSettings, start: Bundle | None) -> Trained:
    patterns = alphabet.make_patterns(settings)
    codec = coding.make_letter_codec(settings)
    network = networks.build_letter_network(settings, codec)
    if start:
        if isinstance(start.codec, LetterCodec) and start.codec.model_copy(update={"length": codec.length}) != codec:
            raise RecipeError(
                f"{start.folder} codes letters otherwise than this recipe does ({start.codec!r}, not {codec!r}); set "
                "first_code, layout and mask_padding as the bundle's card has them"
            )
        _take_weights(network, start)
    kept, held_out = (
        [patterns[k] for k in np.sort(indices)]
        for indices in split_randomly(len(patterns), settings.validation_share, settings.seed)
    )
    training = alphabet.copy_short_runs(kept, settings.short_run_copies)
    validation = coding.code_patterns(codec, held_out) if held_out else None
    if settings.stateful:
        history = _fit_letter_by_letter(network, settings, codec, training)
    elif settings.framework == "torch":
        history = _fit_with_torch(network, settings, coding.code_patterns(codec, training), begun=start is not None)
    else:
        history = fit(network, settings, coding.code_patterns(codec, training), validation)
    return Trained(
        network, codec, history, *coding.describe_patterns(codec, settings, patterns, len(training)), validation
    )


def _fit_letter_by_letter(
    network: keras.Model, settings: LetterSettings, codec: LetterCodec, prefixes: list[alphabet.Pattern]
) -> History:
    """Train the network with a state that is carried from every letter to the next.

    What has learnt so is served as any other network: from a state of zeros, over all letters of a sequence.
    """
    carrying = networks.build_stateful_letter_network(settings, codec)
    carrying.set_weights(network.get_weights())
    letters = np.stack([codec.encode(prefix.sequence[-1]) for prefix in prefixes])[:, :, np.newaxis]
    history = fit(carrying, settings, Examples(letters, coding.code_patterns(codec, prefixes).labels))
    network.set_weights(carrying.get_weights())
    return history


def _fit_with_torch(network: keras.Model, settings: LetterSettings, training: Examples, begun: bool) -> History:
    """Train a PyTorch network of the same layers, and give the network its weights.

    It begins with random weights of its own, or if the network has `begun`, with those of the network.

    Raises:
        MissingPackageError: PyTorch is not installed.
        ConversionError: the two do not answer the same.
    """
    torch_network = conversion.import_torch_network()
    history: History
    trained, history = torch_network.train(settings, training, conversion.to_torch(network) if begun else None)
    conversion.to_keras(torch_network.get_state(trained), network)
    differences = abs(network.predict(training.inputs, verbose=0) - torch_network.predict(trained, training.inputs))
    if differences.max() > AGREEMENT:
        raise ConversionError(f"the PyTorch network and its Keras copy differ by {differences.max():.1e} in an answer")
    return history


def _train_reviews(settings: ReviewSettings, source: Path | None, console: Console, start: Bundle | None) -> Trained:
    data = coding.load_reviews(source, console)
    texts = [review.text for review in data.train]
    codec = _take_codec(settings, start) if start else coding.learn_review_codec(settings, texts, console)
    labelled = coding.code_reviews(codec, data.train, "Coding the training reviews", console)
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    training = labelled.take(kept)
    network = networks.build_review_network(settings, codec.preprocessing)
    if start:
        _take_weights(network, start)
    validation = labelled.take(held_out) if len(held_out) else None
    history = fit(network, settings, training, validation)
    tested = coding.describe_reviews(codec, data, len(training.labels), console)
    return Trained(network, codec, history, *tested, validation, data)


def _train_in_stages(settings: StagedSettings, source: Path | None, console: Console, runs: Path) -> Trained:
    stages = Stages(settings, runs, source, console)
    network, reviews, history = stages.publish(), stages.reviews(), stages.history()
    constants = reviews.codec.preprocessing
    validation = Examples(
        reviews.corpus.pad(reviews.held_out, constants.length, constants.padding_id),
        reviews.labels[reviews.held_out].astype(np.int32),
    )
    trained_on = len(reviews.corpus) - len(reviews.held_out)
    tested = coding.describe_reviews(reviews.codec, stages.data, trained_on, console)
    return Trained(
        network,
        reviews.codec,
        history,
        *tested,
        validation,
        stages.data,
        stages.describe(),
        stages.count_seconds(),
        len(history["loss"]) // settings.student.epochs,
    )


def _take_weights(network: keras.Model, start: Bundle) -> None:
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


def _take_codec(settings: ReviewSettings, start: Bundle) -> ReviewCodec:
    """Return the codec of a bundle, for the length that the settings have.

    Raises:
        RecipeError: the settings want other ids.
    """
    codec = start.codec
    if not isinstance(codec, ReviewCodec):
        raise RecipeError(f"{start.folder} reads letters; start from a bundle of the task sentiment")
    found = codec.preprocessing.tokeniser.kind, codec.preprocessing.vocabulary_size
    if found != (settings.tokeniser, settings.vocabulary_size):
        raise RecipeError(
            f"{start.folder} was trained with tokeniser={found[0]}, vocabulary_size={found[1]}; "
            "set the same, as every id has its weights"
        )
    return ReviewCodec(codec.preprocessing.model_copy(update={"length": settings.length}), codec.vocabulary)
