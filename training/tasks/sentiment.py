"""Training of networks that judge film reviews, with or without stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.manifest import Description
from bundle.reviews import ReviewCodec, ReviewPreprocessing, read_vocabulary, write_vocabulary
from bundle.rows import Row
from bundle.store import Bundle
from bundle.tasks import SENTIMENT, Task
from training.convert.conversion import to_keras
from training.convert.state import State
from training.data import imdb, review_coding
from training.data.examples import Examples
from training.distillation.stages import Stages
from training.errors import ConversionError, RecipeError
from training.evaluation import analysis, plots
from training.evaluation.evaluate import Evaluation
from training.loops.fit import fit
from training.networks import builders
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.settings import pick_fields
from training.recipes.stack import PLAIN_STACK
from training.recipes.staged import StagedSettings
from training.tasks.base import Predict, TrainedTask
from training.tasks.trained import BundleData, Trained, take_weights


class Sentiment(TrainedTask[ReviewCodec, ReviewSettings]):
    """Film reviews to their sentiment, negative or positive."""

    task: ClassVar[Task] = SENTIMENT
    intended_use: ClassVar[str] = """\
The network predicts whether an English film review is positive or negative. The dataset has no labels for reviews of 5
and 6 stars of 10, so its answers to lukewarm reviews were not measured. Its answers to other texts than film reviews
were not measured either. It reads the last {length} words and marks of a longer review."""
    plain: ClassVar[Mapping[str, object]] = PLAIN_STACK

    def train(self, recipe: Recipe, source: Path | None, console: Console, start: Bundle | None, runs: Path) -> Trained:
        """Train the network of a recipe: see `pipeline.fit_recipe`."""
        settings = recipe.settings
        if isinstance(settings, StagedSettings):
            if start:
                raise RecipeError(f"{recipe.name} starts from its own language model; leave --from out")
            return _train_in_stages(settings, source, console, runs)
        assert isinstance(settings, ReviewSettings)
        return _train_at_once(settings, source, console, start)

    def convert(
        self, state: State, settings: ReviewSettings, vocabulary: Path | None, source: Path | None, console: Console
    ) -> Trained:
        """Return a network with weights from PyTorch: see `TrainedTask.convert`."""
        if vocabulary is None and settings.tokeniser != "keras":
            raise ConversionError(
                f"tokeniser={settings.tokeniser} has no words of its own; pass the network's words as --vocabulary"
            )
        ranked = read_vocabulary(vocabulary or review_coding.KERAS_WORDS)
        codec = review_coding.make_review_codec(settings, ranked)
        network = builders.build_review_network(settings, codec.preprocessing)
        to_keras(state, network)
        data = review_coding.load_reviews(source, console)
        return Trained(network, codec, {}, *review_coding.describe_reviews(codec, data, 0, console), data=data)

    def read_settings(self, fields: Mapping[str, JsonValue]) -> ReviewSettings:
        """Return the settings of a bundle's network (with stages, of the student): see `TrainedTask.read_settings`."""
        if "student" in fields:
            return StagedSettings.model_validate(pick_fields(fields, StagedSettings)).published
        return ReviewSettings.model_validate(pick_fields(fields, ReviewSettings))

    def read_data(
        self, codec: ReviewCodec, settings: ReviewSettings, share: float, source: Path | None, console: Console
    ) -> BundleData:
        """Return the test reviews and the held-out reviews: see `TrainedTask.read_data`."""
        reviews = review_coding.load_reviews(source, console)
        test, dataset = review_coding.describe_reviews(codec, reviews, 0, console)
        if not share:
            return BundleData(test, None, dataset.sha256, reviews)
        _, indices = imdb.hold_out(reviews.train, share, settings.validation, settings.seed)
        held_out_reviews = tuple(reviews.train[index] for index in indices)
        held_out = review_coding.code_reviews(codec, held_out_reviews, "Coding the held-out reviews", console)
        return BundleData(test, held_out, dataset.sha256, reviews)

    def make_row(self, codec: ReviewCodec, steps: int, random: np.random.Generator) -> Row:
        """Return random ids as a row: see `TrainedTask.make_row`."""
        return random.integers(1, codec.preprocessing.vocabulary_size, steps, np.int32)

    def describe_examples(self, recipe: Recipe, description: Description) -> str:  # noqa: ARG002
        """Return a card's description of the test reviews."""
        return "the test reviews, which are never trained on"

    def list_conversion_options(self, description: Description) -> list[str]:
        """Return the option for the vocabulary: see `TrainedTask`."""
        assert isinstance(description.preprocessing, ReviewPreprocessing)
        return ["--vocabulary", f"models/{description.name}/<version>/{description.preprocessing.vocabulary_file}"]

    def write_files(self, codec: ReviewCodec, folder: Path) -> None:
        """Write the vocabulary into the folder of a bundle."""
        write_vocabulary(folder / codec.preprocessing.vocabulary_file, codec.vocabulary)

    def plot(self, evaluation: Evaluation, folder: Path) -> None:
        """Plot the confusion matrix and the ROC curve into the folder of a bundle."""
        plots.plot_confusion_matrix(evaluation, self.task.labels, folder / plots.CONFUSION_MATRIX)
        plots.plot_roc_curve(evaluation, folder / plots.ROC_CURVE)

    def analyse(self, codec: ReviewCodec, data: object, evaluation: Evaluation, predict: Predict, seed: int) -> str:
        """Return the accuracy by kind of review, and the worst mistakes: see `evaluation.analysis`."""
        assert isinstance(data, imdb.Imdb)

        def answer(texts: Sequence[str]) -> NDArray[np.float32]:
            return predict([codec.encode(text).ids for text in texts])[:, 0]

        return analysis.describe(data, evaluation, answer, seed)


def _train_at_once(settings: ReviewSettings, source: Path | None, console: Console, start: Bundle | None) -> Trained:
    data = review_coding.load_reviews(source, console)
    texts = [review.text for review in data.train]
    codec = _take_codec(settings, start) if start else review_coding.learn_review_codec(settings, texts, console)
    labelled = review_coding.code_reviews(codec, data.train, "Coding the training reviews", console)
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    training = labelled.take(kept)
    network = builders.build_review_network(settings, codec.preprocessing)
    if start:
        take_weights(network, start)
    validation = labelled.take(held_out) if len(held_out) else None
    history = fit(network, settings, training, validation)
    tested = review_coding.describe_reviews(codec, data, len(training.labels), console)
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
    return Trained(
        network,
        reviews.codec,
        history,
        *review_coding.describe_reviews(reviews.codec, stages.data, trained_on, console),
        validation,
        stages.data,
        stages.describe(),
        stages.count_seconds(),
        len(history["loss"]) // settings.student.epochs,
    )


def _take_codec(settings: ReviewSettings, start: Bundle) -> ReviewCodec:
    """Return the codec of a bundle, with the length of the settings.

    Raises:
        RecipeError: the settings need other ids.
    """
    codec = start.codec
    if not isinstance(codec, ReviewCodec):
        raise RecipeError(f"{start.folder} reads letters; start from a bundle of the task sentiment")
    found = codec.preprocessing.tokeniser.kind, codec.preprocessing.vocabulary_size
    if found != (settings.tokeniser, settings.vocabulary_size):
        raise RecipeError(
            f"{start.folder} was trained with tokeniser={found[0]}, vocabulary_size={found[1]}; "
            "set the same values, because every id has its own weights"
        )
    return ReviewCodec(codec.preprocessing.model_copy(update={"length": settings.length}), codec.vocabulary)
