"""Training of networks that continue a run of letters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.manifest import Description
from bundle.store import Bundle
from bundle.symbols import SymbolCodec
from bundle.tasks import NEXT_LETTER, Task
from training.convert.conversion import to_keras, to_torch
from training.convert.state import State, require_torch
from training.data import alphabet, letter_coding
from training.data.examples import Examples, split_randomly
from training.data.sources import Sources
from training.errors import ConversionError, RecipeError
from training.evaluation.evaluate import Evaluation, evaluate
from training.loops.fit import History, fit
from training.networks import builders
from training.recipes.letters import PLAIN_LETTERS, LetterSettings
from training.recipes.recipe import Recipe
from training.recipes.sequences import SequenceSettings
from training.recipes.settings import pick_fields
from training.tasks import sequences
from training.tasks.base import Predict, TrainedTask
from training.tasks.sequences import SequenceData
from training.tasks.trained import BundleData, Trained, take_weights

AGREEMENT = 1e-5  # between the answers of two frameworks


class NextLetter(TrainedTask[LetterCodec | SymbolCodec, LetterSettings | SequenceSettings]):
    """Letters, or characters of any alphabet, to the one that comes next."""

    task: ClassVar[Task] = NEXT_LETTER
    plain: ClassVar[Mapping[str, object]] = PLAIN_LETTERS

    def train(
        self,
        recipe: Recipe,
        sources: Sources,
        console: Console,
        start: Bundle | None,
        runs: Path,  # noqa: ARG002
    ) -> Trained:
        """Train the network of a recipe: see `pipeline.fit_recipe`."""
        settings = recipe.settings
        if isinstance(settings, SequenceSettings):
            return sequences.train(settings, sources, console, start)
        assert isinstance(settings, LetterSettings)
        patterns = alphabet.make_patterns(settings)
        codec = letter_coding.make_letter_codec(settings)
        network = builders.build_letter_network(settings, codec)
        if start:
            _check_coding(codec, start)
            take_weights(network, start)
        kept, held_out = (
            [patterns[k] for k in np.sort(indices)]
            for indices in split_randomly(len(patterns), settings.validation_share, settings.seed)
        )
        training = alphabet.copy_short_runs(kept, settings.short_run_copies)
        validation = letter_coding.code_patterns(codec, held_out) if held_out else None
        with_torch = settings.framework == "torch"
        if settings.stateful:
            history = _fit_letter_by_letter(network, settings, codec, training, console)
        elif with_torch:
            examples = letter_coding.code_patterns(codec, training)
            history = _fit_with_torch(network, settings, examples, begun=start is not None)
        else:
            history = fit(network, settings, letter_coding.code_patterns(codec, training), validation, console)
        described = letter_coding.describe_patterns(codec, settings, patterns, len(training))
        return Trained(network, codec, history, *described, validation, with_torch=with_torch)

    def convert(
        self,
        state: State,
        settings: LetterSettings | SequenceSettings,
        vocabulary: Path | None,  # noqa: ARG002
        source: Path | None,  # noqa: ARG002
        console: Console,  # noqa: ARG002
    ) -> Trained:
        """Return a network with weights from PyTorch: see `TrainedTask.convert`."""
        if isinstance(settings, SequenceSettings):
            raise ConversionError(
                "letters has no fixed alphabet or data; train it with --data, or choose another recipe"
            )
        codec = letter_coding.make_letter_codec(settings)
        network = builders.build_letter_network(settings, codec)
        to_keras(state, network)
        patterns = alphabet.make_patterns(settings)
        return Trained(network, codec, {}, *letter_coding.describe_patterns(codec, settings, patterns, 0))

    def read_settings(self, fields: Mapping[str, JsonValue]) -> LetterSettings | SequenceSettings:
        """Return the settings of a bundle's network: see `TrainedTask.read_settings`."""
        if "test_share" in fields:
            return SequenceSettings.model_validate(pick_fields(fields, SequenceSettings))
        return LetterSettings.model_validate(pick_fields(fields, LetterSettings))

    def read_data(
        self,
        codec: LetterCodec | SymbolCodec,
        settings: LetterSettings | SequenceSettings,
        share: float,
        source: Path | None,
        console: Console,
        labels: tuple[str, ...],  # noqa: ARG002
    ) -> BundleData:
        """Return all patterns of the recipe, or the held-out lines: see `TrainedTask.read_data`."""
        if isinstance(settings, SequenceSettings):
            assert isinstance(codec, SymbolCodec)
            return sequences.read_data(codec, settings, source, console)
        assert isinstance(codec, LetterCodec)
        patterns = alphabet.make_patterns(settings)
        test, dataset = letter_coding.describe_patterns(codec, settings, patterns, 0)
        _, indices = split_randomly(len(patterns), share, settings.seed)
        return BundleData(test, test.take(np.sort(indices)) if share else None, dataset.sha256)

    def evaluate(
        self, codec: LetterCodec | SymbolCodec, answers: NDArray[np.float32], labels: NDArray[np.int32]
    ) -> Evaluation:
        """Measure the quality of answers, for networks of any alphabet also bits a character."""
        found = evaluate(answers, labels)
        if isinstance(codec, SymbolCodec):
            return replace(found, metrics=found.metrics | sequences.measure(codec, found))
        return found

    def analyse(
        self,
        codec: LetterCodec | SymbolCodec,
        data: object,
        evaluation: Evaluation,
        labels: Sequence[str],  # noqa: ARG002
        predict: Predict,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        folder: Path,
    ) -> str:
        """Return a network of any alphabet beside its baselines: see `TrainedTask.analyse`."""
        if not isinstance(data, SequenceData):
            return ""
        assert isinstance(codec, SymbolCodec)
        return sequences.analyse(codec, data, evaluation, folder)

    def describe_use(self, recipe: Recipe, description: Description) -> str:  # noqa: ARG002
        """Return a card's description of runs of letters: see `TrainedTask.describe_use`."""
        if isinstance(description.preprocessing, SymbolCodec):
            return sequences.describe_use(description.preprocessing)
        return f"""\
The network continues a run of consecutive letters: `ABC` gives `D`. It accepts 1 to {description.preprocessing.length}
letters A-Z, upper or lower case. For letters that are not a run like those in training, its answer means nothing."""

    def describe_examples(self, recipe: Recipe, description: Description) -> str:
        """Return a card's description of the patterns, or of the lines."""
        if isinstance(recipe.settings, SequenceSettings):
            return "characters of the held-out lines"
        if "converted" in description.recipe:
            return "the patterns of the recipe"
        return "the patterns it was trained on" + " and those held out" * (recipe.settings.validation_share > 0)


def _check_coding(codec: LetterCodec, start: Bundle) -> None:
    """Check that a bundle codes letters like a codec, apart from the length of sequences.

    Raises:
        RecipeError: it does not.
    """
    if isinstance(start.codec, LetterCodec) and start.codec.model_copy(update={"length": codec.length}) != codec:
        raise RecipeError(
            f"{start.folder} codes letters differently from this recipe ({start.codec!r}, not {codec!r}); set "
            "first_code, layout and mask_padding to the values in the bundle's card"
        )


def _fit_letter_by_letter(
    network: keras.Model,
    settings: LetterSettings,
    codec: LetterCodec,
    prefixes: list[alphabet.Pattern],
    console: Console,
) -> History:
    """Train the network with a state that is kept from each letter to the next.

    The result is served like any other network: from a state of zeros, over all letters of a sequence.
    """
    carrying = builders.build_stateful_letter_network(settings, codec)
    carrying.set_weights(network.get_weights())
    letters = np.stack([codec.encode(prefix.sequence[-1]) for prefix in prefixes])[:, :, np.newaxis]
    examples = Examples(letters, letter_coding.code_patterns(codec, prefixes).labels)
    history = fit(carrying, settings, examples, console=console)
    network.set_weights(carrying.get_weights())
    return history


def _fit_with_torch(network: keras.Model, settings: LetterSettings, training: Examples, begun: bool) -> History:
    """Train a PyTorch network of the same layers, and copy its weights to the network.

    It starts from random weights; if `begun`, it starts from the weights of the network.

    Raises:
        MissingPackageError: PyTorch is not installed.
        ConversionError: the answers of the two differ.
    """
    require_torch()
    from training.convert import torch_network

    trained, history = torch_network.train(settings, training, to_torch(network) if begun else None)
    to_keras(torch_network.get_state(trained), network)
    differences = abs(network.predict(training.inputs, verbose=0) - torch_network.predict(trained, training.inputs))
    if differences.max() > AGREEMENT:
        raise ConversionError(f"the PyTorch network and its Keras copy differ by {differences.max():.1e} in an answer")
    return history
