"""Training of networks that judge film reviews, with or without stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.manifest import Description
from bundle.reviews import RESERVED_IDS, ReviewCodec, ReviewPreprocessing, read_vocabulary, write_vocabulary
from bundle.store import Bundle
from bundle.tasks import SENTIMENT, Task
from training.convert.conversion import to_keras
from training.convert.state import State
from training.data import imdb, own_texts, review_coding
from training.data.examples import Examples
from training.data.labelled.description import describe_dataset
from training.data.own_texts import OwnTexts
from training.data.sources import Sources
from training.data.word_list import read_word_list
from training.distillation.stages import Stages
from training.errors import ConversionError, DataError, RecipeError
from training.evaluation import analysis, plots, reference
from training.evaluation.evaluate import Evaluation, evaluate, find_macro_f1
from training.general.stages import GeneralStages
from training.labelled import card as labelled_card
from training.labelled.parts import LabelledData
from training.loops.fit import fit
from training.networks import builders
from training.recipes.general import GeneralSettings
from training.recipes.labelled import LabelledSettings
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.settings import pick_fields
from training.recipes.stack import PLAIN_STACK
from training.recipes.staged import StagedSettings, TuningSettings
from training.tasks import labelled
from training.tasks.base import Predict, TrainedTask
from training.tasks.trained import BundleData, Trained, take_weights
from training.wild import report
from training.wild.figures import measure
from training.wild.suites import Suite

_REVIEWS_USE = """\
The network predicts whether an English film review is positive or negative. The dataset has no labels for reviews of 5
and 6 stars of 10, so its answers to lukewarm reviews were not measured. Its answers to other texts than film reviews
were not measured either. It reads the last {length} words and marks of a longer review."""

_LABELS_USE = """\
The network answers which of the labels {labels} fits a text. Its answers to texts of another kind than those it was
trained on were not measured. It reads the last {length} words and marks of a longer text."""

_GENERAL_USE = """\
The network predicts whether an English text, from a few words to a long review, is positive or negative. It is best at
film reviews. It also judges short opinions of films, books, products, restaurants, hotels, apps and services: the
tables above have its accuracy by domain, by kind of sentence and by length. It reads the last {length} words and marks
of a longer text.

It has two classes. A neutral text should get a probability near 0.5, and a mixed one may get any: set `min_confidence`
to leave such texts to a person. The tables have the accuracy of the surest answers. A name, a nationality or a faith in
a sentence can change its verdict: see the rows on fairness, and do not decide about people with it.

Where something else is the better choice:

- A lexicon, if every verdict must be explained word by word, or if no verdict may depend on a name. It gets far fewer
  texts right; `python -m training wild --vader` compares.
- A large transformer, for irony, for opinions that are only implied ("I was at page 12 for a month"), for languages
  other than English, and wherever the time of an answer does not matter.
- A network that was trained on your own labels, for texts whose words mean something else ("short", "bullish")."""


@dataclass(frozen=True)
class ReviewData:
    """The reviews, and further texts that a network is measured on."""

    reviews: imdb.Imdb
    suites: tuple[Suite, ...] = ()


@dataclass(frozen=True)
class TextData:
    """The test texts of a network for other texts or labels, in the order of its test examples."""

    test: tuple[str, ...]


class Sentiment(TrainedTask[ReviewCodec, ReviewSettings | LabelledSettings]):
    """Texts to their labels: film reviews to their sentiment, or others."""

    task: ClassVar[Task] = SENTIMENT
    plain: ClassVar[Mapping[str, object]] = PLAIN_STACK

    def train(self, recipe: Recipe, sources: Sources, console: Console, start: Bundle | None, runs: Path) -> Trained:
        """Train the network of a recipe: see `pipeline.fit_recipe`."""
        settings = recipe.settings
        if isinstance(settings, StagedSettings):
            if start:
                raise RecipeError(f"{recipe.name} starts from its own language model; leave --from out")
            stages = Stages(settings, runs, sources.reviews, console)
            return _run_stages(stages, settings.student, (), console)
        if isinstance(settings, GeneralSettings):
            if not start:
                raise RecipeError(f"{recipe.name} starts from a bundle of the recipe sentiment; name it with --from")
            general = GeneralStages(settings, start, sources, runs, console)
            trained = _run_stages(general, settings.network, general.suites, console)
            return replace(trained, learnt_from=general.learnt_from)
        if isinstance(settings, LabelledSettings):
            return labelled.train(settings, sources, console, start)
        assert isinstance(settings, ReviewSettings)
        return _train_at_once(settings, sources.reviews, console, start)

    def convert(
        self,
        state: State,
        settings: ReviewSettings | LabelledSettings,
        vocabulary: Path | None,
        source: Path | None,
        console: Console,
    ) -> Trained:
        """Return a network with weights from PyTorch: see `TrainedTask.convert`."""
        assert isinstance(settings, ReviewSettings)
        if vocabulary is None and settings.tokeniser != "keras":
            raise ConversionError(
                f"tokeniser={settings.tokeniser} has no words of its own; pass the network's words as --vocabulary"
            )
        ranked = (
            _read_words(vocabulary, settings, console) if vocabulary else read_vocabulary(review_coding.KERAS_WORDS)
        )
        codec = review_coding.make_review_codec(settings, ranked)
        network = builders.build_review_network(settings, codec.preprocessing)
        to_keras(state, network)
        data = review_coding.load_reviews(source, console)
        described = review_coding.describe_reviews(codec, data, 0, console)
        return Trained(network, codec, {}, *described, data=ReviewData(data))

    def read_settings(self, fields: Mapping[str, JsonValue]) -> ReviewSettings | LabelledSettings:
        """Return the settings of a bundle's network (with stages, of the student): see `TrainedTask.read_settings`."""
        if "label_map" in fields:
            return LabelledSettings.model_validate(pick_fields(fields, LabelledSettings))
        for field, kind in (("student", StagedSettings), ("teaching", GeneralSettings)):
            if field in fields:
                return kind.model_validate(pick_fields(fields, kind)).published
        return ReviewSettings.model_validate(pick_fields(fields, ReviewSettings))

    def read_data(
        self,
        codec: ReviewCodec,
        settings: ReviewSettings | LabelledSettings,
        share: float,
        source: Path | None,
        console: Console,
        labels: tuple[str, ...],
    ) -> BundleData:
        """Return the test reviews and the held-out reviews, or the user's own: see `TrainedTask.read_data`."""
        if isinstance(settings, LabelledSettings):
            return labelled.read_data(codec, settings, source, console, labels)
        reviews = own_texts.load(source, settings.seed, console)
        test, dataset = review_coding.describe_reviews(codec, reviews, 0, console)
        if (own := _find_labels(reviews) or self.task.labels) != labels:
            raise DataError(f"{source} has the labels {', '.join(own)}, the bundle has {', '.join(labels)}")
        if not share:
            return BundleData(test, None, dataset.sha256, _make_data(reviews))
        _, indices = imdb.hold_out(reviews.train, share, settings.validation, settings.seed)
        held_out_reviews = tuple(reviews.train[index] for index in indices)
        held_out = review_coding.code_reviews(codec, held_out_reviews, "Coding the held-out reviews", console)
        return BundleData(test, held_out, dataset.sha256, _make_data(reviews))

    def describe_use(self, recipe: Recipe, description: Description) -> str:
        """Return a card's description of the texts that a network judges: see `TrainedTask.describe_use`."""
        if isinstance(recipe.settings, LabelledSettings) or description.dataset.files:
            return labelled_card.describe_use(description)
        if description.labels != self.task.labels:
            labels = ", ".join(map(analysis.escape, description.labels))
            return _LABELS_USE.format(labels=labels, length=description.preprocessing.length)
        use = _GENERAL_USE if isinstance(recipe.settings, GeneralSettings) else _REVIEWS_USE
        return use.format(length=description.preprocessing.length)

    def describe_examples(self, recipe: Recipe, description: Description) -> str:  # noqa: ARG002
        """Return a card's description of the test reviews, or of other test texts."""
        if description.labels != self.task.labels or description.dataset.files:
            return "the test texts, which are never trained on"
        return "the test reviews, which are never trained on"

    def list_conversion_options(self, description: Description) -> list[str]:
        """Return the option for the vocabulary: see `TrainedTask`."""
        assert isinstance(description.preprocessing, ReviewPreprocessing)
        return ["--vocabulary", f"models/{description.name}/<version>/{description.preprocessing.vocabulary_file}"]

    def write_files(self, codec: ReviewCodec, folder: Path) -> None:
        """Write the vocabulary into the folder of a bundle."""
        write_vocabulary(folder / codec.preprocessing.vocabulary_file, codec.vocabulary)

    def evaluate(
        self,
        codec: ReviewCodec,  # noqa: ARG002
        answers: NDArray[np.float32],
        labels: NDArray[np.int32],
    ) -> Evaluation:
        """Measure the quality of answers, also how well any number of labels are ranked and calibrated."""
        return evaluate(answers, labels, with_ranking=True)

    def plot(self, evaluation: Evaluation, labels: Sequence[str], folder: Path) -> None:
        """Plot the confusion matrix and, for two labels, the ROC curve into the folder of a bundle."""
        plots.plot_confusion_matrix(evaluation, labels, folder / plots.CONFUSION_MATRIX)
        if len(labels) == 2:
            plots.plot_roc_curve(evaluation, labels, folder / plots.ROC_CURVE)

    def analyse(
        self,
        codec: ReviewCodec,
        data: object,
        evaluation: Evaluation,
        labels: Sequence[str],
        predict: Predict,
        seed: int,
        folder: Path,
    ) -> str:
        """Return the figures of each label, and the accuracy by length or by other kinds of text.

        For the reviews these are further kinds, the worst mistakes, and the figures on other texts: see
        `evaluation.analysis` and `training.wild`. The latter's figures are also written into the folder, and the
        reference of the test texts.
        """
        by_label = analysis.describe_labels(evaluation, labels)
        if isinstance(data, TextData):
            reference.count_texts(codec, data.test, evaluation, "the test texts").write(folder)
            return f"{by_label}\n{analysis.describe_texts(data.test, evaluation)}"
        if isinstance(data, LabelledData):
            reference.count_texts(codec, data.texts, evaluation, "the test texts").write(folder)
            macro_f1 = find_macro_f1(evaluation)
            return "\n".join(
                [
                    by_label,
                    labelled_card.describe_confusions(evaluation, labels),
                    labelled_card.compare(evaluation, macro_f1, data.baseline),
                    analysis.describe_texts(data.texts, evaluation),
                ]
            )
        assert isinstance(data, ReviewData)
        texts = (review.text for review in data.reviews.test)
        reference.count_texts(codec, texts, evaluation, "the test reviews").write(folder)
        answer = analysis.make_answer(codec, predict)
        figures = measure(answer, data.reviews.test, data.suites)
        figures.write(folder / report.FIGURES)
        report.plot({"this bundle": figures}, folder / report.PLOT)
        return f"""\
{by_label}
{analysis.describe(data.reviews, evaluation, answer, seed)}
### On other texts

{report.describe({"this bundle": figures})}

![other texts]({report.PLOT})

Check them, beside other classifiers, with `python -m training wild models/<name>/<version>`.
"""


def _read_words(path: Path, settings: ReviewSettings, console: Console) -> list[str]:
    """Read the words of a PyTorch network, which has a vector for each of them and for the reserved ids.

    Raises:
        ConversionError: it has reserved words, or another number of words.
        DataError: see `read_word_list`.
    """
    found = read_word_list(path)
    for note in found.notes:
        console.print(f"{path} {note}.", markup=False, highlight=False, soft_wrap=True)
    if found.reserved:
        raise ConversionError(
            f"{path}, line 1: {found.reserved[0]!r} is a reserved word; the ids of this recipe are padding 0, start 1, "
            f"unknown word 2, and from {RESERVED_IDS} on the words; use python -m training import, which takes the ids "
            "of your own list"
        )
    if len(found.words) != (expected := settings.vocabulary_size - RESERVED_IDS):
        raise ConversionError(
            f"{path} has {len(found.words):,} words, vocabulary_size={settings.vocabulary_size} needs {expected:,} and "
            f"{RESERVED_IDS} reserved ids; list every word of the network, or set vocabulary_size="
            f"{len(found.words) + RESERVED_IDS}"
        )
    return list(found.words)


def _train_at_once(settings: ReviewSettings, source: Path | None, console: Console, start: Bundle | None) -> Trained:
    data = own_texts.load(source, settings.seed, console)
    texts = [review.text for review in data.train]
    codec = _take_codec(settings, start) if start else review_coding.learn_review_codec(settings, texts, console)
    labelled = review_coding.code_reviews(codec, data.train, "Coding the training reviews", console)
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    training = labelled.take(kept)
    network = builders.build_review_network(settings, codec.preprocessing)
    if start:
        take_weights(network, start)
    validation = labelled.take(held_out) if len(held_out) else None
    history = fit(network, settings, training, validation, console)
    tested, dataset = review_coding.describe_reviews(codec, data, len(training.labels), console)
    stages = ""
    if isinstance(data, OwnTexts):
        described = data.description
        dataset = describe_dataset(described, None, len(training.labels), len(held_out), len(data.test))
        stages = labelled_card.describe_data(described, len(training.labels), (), ())
    return Trained(
        network,
        codec,
        history,
        tested,
        dataset,
        validation,
        _make_data(data),
        stages,
        labels=_find_labels(data),
    )


def _find_labels(data: imdb.Imdb) -> tuple[str, ...] | None:
    """Return the labels of the user's own texts; None of the film reviews, which have those of the task."""
    return data.labels if isinstance(data, OwnTexts) else None


def _make_data(data: imdb.Imdb) -> ReviewData | TextData:
    """Return what a card needs of the film reviews, or of the user's own texts."""
    return TextData(tuple(review.text for review in data.test)) if isinstance(data, OwnTexts) else ReviewData(data)


def _run_stages(
    stages: Stages | GeneralStages, tuning: TuningSettings, suites: tuple[Suite, ...], console: Console
) -> Trained:
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
        ReviewData(stages.data, suites),
        stages.describe(),
        stages.count_seconds(),
        len(history["loss"]) // tuning.epochs,
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
