"""From a recipe to a published bundle: data, fit, evaluation, report, publication."""

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset, Description
from bundle.reviews import KerasTokeniser, ReviewCodec, ReviewPreprocessing, WordTokeniser, rank_words
from bundle.store import MODEL_FILE, Bundle, Store, read_vocabulary, write_vocabulary
from training import alphabet, imdb, networks, report
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


def train(recipe: Recipe, store: Store, source: Path | None, console: Console) -> Bundle:
    """Train a recipe and publish the bundle; until the last moment nothing is written that a reader could see.

    Raises:
        DataError: see `imdb.load`.
    """
    started = time.monotonic()
    keras.utils.set_random_seed(recipe.settings.seed)
    settings = recipe.settings
    trained = (
        _train_letters(settings) if isinstance(settings, LetterSettings) else _train_reviews(settings, source, console)
    )
    seconds = time.monotonic() - started
    with store.stage(recipe.name) as folder:
        trained.network.save(folder / MODEL_FILE)
        evaluation = evaluate(keras.saving.load_model(folder / MODEL_FILE), trained.test)
        description = _describe(recipe, trained, evaluation)
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
    """
    codec = bundle.codec
    if isinstance(codec, LetterCodec):
        patterns = alphabet.make_patterns(LetterSettings.model_validate(bundle.manifest.recipe["settings"]))
        examples, sha256 = _code_patterns(codec, patterns), alphabet.hash_patterns(patterns)
    else:
        data = _load_reviews(source, console)
        examples, sha256 = _code_reviews(codec, data.test, "Coding the test reviews"), data.sha256
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
    return Trained(network, codec, tuple(ALPHABET), history, _code_patterns(codec, patterns), dataset)


def _train_reviews(settings: ReviewSettings, source: Path | None, console: Console) -> Trained:
    data = _load_reviews(source, console)
    codec = _make_review_codec(settings, data.train)
    training = _code_reviews(codec, data.train, "Coding the training reviews")
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    network = networks.build_review_network(settings, codec.preprocessing)
    fitted = network
    if settings.word_dropout:
        unknown = codec.preprocessing.unknown_id
        fitted = networks.add_word_dropout(network, settings.word_dropout, unknown, settings.seed)
    history = fit(fitted, settings, training.take(kept), training.take(held_out) if len(held_out) else None)
    dataset = Dataset(
        name=imdb.NAME, sha256=data.sha256, training_examples=len(data.train), test_examples=len(data.test)
    )
    test = _code_reviews(codec, data.test, "Coding the test reviews")
    return Trained(network, codec, imdb.LABELS, history, test, dataset)


def _load_reviews(source: Path | None, console: Console) -> imdb.Imdb:
    with console.status(f"Reading {source or imdb.ARCHIVE}"):
        return imdb.load(source)


def _make_review_codec(settings: ReviewSettings, reviews: tuple[imdb.Review, ...]) -> ReviewCodec:
    tokeniser = KerasTokeniser() if settings.tokeniser == "keras" else WordTokeniser()
    if settings.ranks == "keras":
        ranked = read_vocabulary(KERAS_WORDS)
    else:
        ranked = rank_words(tokeniser, track((review.text for review in reviews), "Ranking words", len(reviews)))
    reserved = ReviewPreprocessing(tokeniser=tokeniser, vocabulary_size=5, length=1).rank_offset + 1
    words = ranked[: settings.vocabulary_size - reserved]
    preprocessing = ReviewPreprocessing(
        tokeniser=tokeniser, vocabulary_size=len(words) + reserved, length=settings.length
    )
    return ReviewCodec(preprocessing, words)


def _code_patterns(codec: LetterCodec, patterns: list[alphabet.Pattern]) -> Examples:
    inputs = codec.pad([codec.encode(pattern.sequence) for pattern in patterns])
    return Examples(inputs, np.array([ALPHABET.index(pattern.target) for pattern in patterns], np.int32))


def _code_reviews(codec: ReviewCodec, reviews: tuple[imdb.Review, ...], what: str) -> Examples:
    inputs = codec.pad([codec.encode(review.text).ids for review in track(reviews, what)])
    return Examples(inputs, np.array([review.label for review in reviews], np.int32))


def _describe(recipe: Recipe, trained: Trained, evaluation: Evaluation) -> Description:
    codec = trained.codec
    return Description(
        name=recipe.name,
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
        },
    )
