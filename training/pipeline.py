"""From a recipe to a published bundle: data, fit, evaluation, report, publication."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import sklearn
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import LABELS, Dataset, Description
from bundle.reviews import RESERVED_IDS, KerasTokeniser, ReviewCodec, ReviewPreprocessing, WordTokeniser, rank_words
from bundle.store import MODEL_FILE, Bundle, Store, read_vocabulary, write_vocabulary
from training import alphabet, imdb, networks, ngrams, report
from training.errors import DataError, DivergedError, RecipeError
from training.evaluate import Evaluation, evaluate
from training.fit import Examples, History, fit
from training.recipes import LetterSettings, Recipe, ReviewSettings

KERAS_WORDS = Path(__file__).parent / "keras_words.txt"


@dataclass(frozen=True)
class Trained:
    """A network in memory with all that its bundle will say of it."""

    network: keras.Model
    codec: LetterCodec | ReviewCodec
    labels: tuple[str, ...]
    history: History
    test: Examples
    dataset: Dataset


def train(recipe: Recipe, name: str, store: Store, source: Path | None, console: Console) -> Bundle:
    """Train a recipe and publish it under a name; until the last moment nothing is written that a reader could see.

    Raises:
        DivergedError: the network learnt no numbers.
        DataError: see `imdb.load`.
        OSError: the store cannot be written, which shows before the training.
    """
    keras.utils.set_random_seed(recipe.settings.seed)
    settings = recipe.settings
    with store.stage(name) as folder:
        started = time.monotonic()
        if isinstance(settings, LetterSettings):
            trained = _train_letters(settings)
        else:
            trained = _train_reviews(settings, source, console)
        seconds = time.monotonic() - started
        trained.network.save(folder / MODEL_FILE)
        evaluation = evaluate(keras.saving.load_model(folder / MODEL_FILE), trained.test)
        if not np.isfinite(evaluation.probabilities).all():
            raise DivergedError("the training diverged; try a lower learning_rate or set clip_norm")
        description = _describe(recipe, name, trained, evaluation)
        if isinstance(trained.codec, ReviewCodec):
            write_vocabulary(folder / trained.codec.preprocessing.vocabulary_file, trained.codec.vocabulary)
            report.plot_confusion_matrix(evaluation, trained.labels, folder / report.CONFUSION_MATRIX)
            report.plot_roc_curve(evaluation, folder / report.ROC_CURVE)
        report.plot_learning_curve(trained.history, folder / report.LEARNING_CURVE)
        report.write_card(folder, recipe, description, trained.network.count_params(), seconds)
        return store.publish(folder, description)


def evaluate_bundle(bundle: Bundle, source: Path | None, console: Console) -> tuple[Evaluation, str]:
    """Evaluate a bundle on the data of its recipe; also return that data's SHA-256.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the recipe is not one of this release.
    """
    codec = bundle.codec
    if isinstance(codec, LetterCodec):
        try:
            settings = LetterSettings.model_validate(bundle.manifest.recipe.get("settings"))
        except ValidationError as error:
            raise RecipeError(
                f"{bundle.folder} has a recipe of another release ({error.error_count()} fields do not fit); "
                "evaluate it with the release that trained it"
            ) from error
        patterns = alphabet.make_patterns(settings)
        examples, sha256 = _code_patterns(codec, patterns), alphabet.hash_patterns(patterns)
    else:
        data = _load_reviews(source, console)
        examples, sha256 = _code_reviews(codec, data.test, "Coding the test reviews", console), data.sha256
    return evaluate(keras.saving.load_model(bundle.model_path), examples), sha256


def _train_letters(settings: LetterSettings) -> Trained:
    patterns = alphabet.make_patterns(settings)
    codec = LetterCodec(length=settings.length, first_code=settings.first_code)
    training = alphabet.copy_short_runs(patterns, settings.short_run_copies)
    network = networks.build_letter_network(settings, codec)
    history = fit(network, settings, _code_patterns(codec, training))
    dataset = Dataset(
        name=f"alphabet patterns ({settings.patterns})",
        sha256=alphabet.hash_patterns(patterns),
        training_examples=len(training),
        test_examples=len(patterns),
    )
    return Trained(network, codec, LABELS["next-letter"], history, _code_patterns(codec, patterns), dataset)


def _train_reviews(settings: ReviewSettings, source: Path | None, console: Console) -> Trained:
    data = _load_reviews(source, console)
    texts = [review.text for review in data.train]
    unlabelled = list(data.unlabelled) if settings.unlabelled == "soft-labelled" else []
    if settings.unlabelled == "soft-labelled" and not unlabelled:
        raise DataError("the dataset has no train/unsup/*.txt; get the whole, or train with --set unlabelled=ignored")
    codec = _make_review_codec(settings, texts + unlabelled, console)
    labelled = _code_reviews(codec, data.train, "Coding the training reviews", console)
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    training = labelled.take(kept)
    if unlabelled:
        split = codec.preprocessing.tokeniser.split
        with console.status("Labelling the unlabelled reviews"):
            soft = ngrams.soft_label(settings, split, [texts[k] for k in kept], training.labels, unlabelled)
        training = training.join(
            Examples(_code_texts(codec, unlabelled, "Coding the unlabelled reviews", console), soft)
        )
    network = networks.build_review_network(settings, codec.preprocessing)
    fitted = network
    if settings.word_dropout:
        unknown = codec.preprocessing.unknown_id
        fitted = networks.add_word_dropout(network, settings.word_dropout, unknown, settings.seed)
    history = fit(fitted, settings, training, labelled.take(held_out) if len(held_out) else None)
    dataset = Dataset(
        name=imdb.NAME, sha256=data.sha256, training_examples=len(training.labels), test_examples=len(data.test)
    )
    test = _code_reviews(codec, data.test, "Coding the test reviews", console)
    return Trained(network, codec, LABELS["sentiment"], history, test, dataset)


def _load_reviews(source: Path | None, console: Console) -> imdb.Imdb:
    with console.status(escape(f"Reading {source or imdb.ARCHIVE}")):
        return imdb.load(source)


def _make_review_codec(settings: ReviewSettings, texts: list[str], console: Console) -> ReviewCodec:
    tokeniser = KerasTokeniser() if settings.tokeniser == "keras" else WordTokeniser()
    if settings.ranks == "keras":
        ranked = read_vocabulary(KERAS_WORDS)
    else:
        ranked = rank_words(tokeniser, track(texts, "Ranking words", console=console))
    words = ranked[: settings.vocabulary_size - RESERVED_IDS]
    preprocessing = ReviewPreprocessing(
        tokeniser=tokeniser, vocabulary_size=len(words) + RESERVED_IDS, length=settings.length
    )
    return ReviewCodec(preprocessing, words)


def _code_patterns(codec: LetterCodec, patterns: list[alphabet.Pattern]) -> Examples:
    inputs = codec.pad([codec.encode(pattern.sequence) for pattern in patterns])
    return Examples(inputs, np.array([ALPHABET.index(pattern.target) for pattern in patterns], np.int32))


def _code_reviews(codec: ReviewCodec, reviews: tuple[imdb.Review, ...], what: str, console: Console) -> Examples:
    inputs = _code_texts(codec, [review.text for review in reviews], what, console)
    return Examples(inputs, np.array([review.label for review in reviews], np.int32))


def _code_texts(codec: ReviewCodec, texts: list[str], what: str, console: Console) -> NDArray[np.int32]:
    return codec.pad([codec.encode(text).ids for text in track(texts, what, console=console)])


def _describe(recipe: Recipe, name: str, trained: Trained, evaluation: Evaluation) -> Description:
    codec = trained.codec
    return Description(
        name=name,
        task=recipe.task,
        recipe={"name": recipe.name, "settings": recipe.settings.model_dump()},
        preprocessing=codec if isinstance(codec, LetterCodec) else codec.preprocessing,
        labels=trained.labels,
        metrics=evaluation.metrics,
        dataset=trained.dataset,
        frameworks={
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
        },
    )
