"""Training on the user's own labelled texts: from files to a network, its examples and its card."""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.reviews import ReviewCodec
from bundle.store import Bundle
from bundle.tasks import check_labels, count_outputs
from training.data.labelled.description import describe_dataset
from training.data.labelled.reading import read, read_labelled
from training.data.labelled.texts import Texts
from training.data.sources import Sources
from training.distillation.corpus import Corpus
from training.errors import DataError
from training.evaluation.calibration import find_temperature, find_temperature_of_several
from training.labelled import card as labelled_card
from training.labelled import coding, replay, teacher
from training.labelled.coding import CodedTexts
from training.labelled.first_network import FirstNetwork, find_sides, have_same_meaning
from training.labelled.fitting import fit_texts, to_targets
from training.labelled.parts import MOST_TEST_ROWS, LabelledData, Parts, make_data, sample, split
from training.labelled.reading import make_options, read_texts
from training.networks import builders
from training.recipes.labelled import LabelledSettings
from training.recipes.reviews import ReviewSettings
from training.recipes.staged import TuningSettings
from training.tasks.trained import BundleData, Trained

_WEIGHTS = "network.weights.h5"


def train(settings: LabelledSettings, sources: Sources, console: Console, start: Bundle | None) -> Trained:
    """Train a network on a user's texts: see `pipeline.fit_recipe`.

    Raises:
        DataError: the data cannot be used.
        RecipeError: the network to start from does not fit.
        DivergedError: the training diverged.
    """
    texts = sources.labelled or read_texts(settings, sources)
    labels = texts.labels
    try:
        check_labels(labels)
    except ValueError as error:
        raise DataError(f"{texts.description.data.name}: {error}") from error
    first = FirstNetwork(start) if start else None
    parts = split(settings, texts)
    data = make_data(settings, texts, parts)
    with console.status("Training the baseline"):
        baseline = data.baseline
    if baseline:
        _say(console, labelled_card.describe_baseline(baseline))
    tuning, network_settings, codec = _choose_network(settings, first, parts, console)
    training, validation, test = (
        coding.code(codec, part, f"Coding the {name} texts", console)
        for name, part in (("training", parts.training), ("validation", parts.validation), ("test", parts.test))
    )
    warnings = _list_warnings(training, test)
    for warning in warnings:
        _warn(console, warning)

    corpora, targets = [training.corpus], [to_targets(training.labels, count_outputs(labels))]
    facts = []
    if not first and _can_be_taught(settings, parts.training):
        targets = [_mix_labels(settings, codec, parts.training, targets[0], console)]
        facts.append(
            f"What it learns for a row is the label with a weight of {settings.label_weight:g}, and for the rest the "
            "answer of n-gram models which have not seen the row."
        )
    if further := _find_further(settings, first, codec, parts, labels, console):
        corpus, answers, fact = further
        corpora.append(corpus)
        targets.append(answers)
        facts.append(fact)
    keras.utils.set_random_seed(settings.seed)
    network = builders.build_review_network(network_settings, codec.preprocessing, any_length=True, labels=labels)
    if first:
        first.give_weights(network, codec, labels)
    history, answers = fit_texts(
        network,
        tuning,
        settings.patience,
        _join(corpora),
        np.concatenate(targets),
        validation,
        codec.preprocessing,
        settings.seed,
        console,
        knows_labels=first is not None and have_same_meaning(labels, first.labels),
    )
    temperature = _find_temperature(answers, validation.labels)
    facts.append(
        f"{len(parts.validation):,} of the training rows were held out: they decided when to stop, and the logits are "
        f"divided by {temperature:.2f}, which is fitted on them."
    )
    return Trained(
        _publish(network, network_settings, codec, temperature, labels),
        codec,
        history,
        test.pad(codec),
        describe_dataset(
            texts.description, settings.language, len(parts.training), len(parts.validation), len(parts.test)
        ),
        validation.pad(codec),
        data,
        labelled_card.describe_data(texts.description, len(parts.training), facts, warnings),
        labels=labels,
        reports_per_epoch=max(1, len(history["loss"]) // tuning.epochs),
        baseline={"accuracy": baseline.accuracy, "macro_f1": baseline.macro_f1} if baseline else {},
    )


def read_data(
    codec: ReviewCodec, settings: LabelledSettings, source: Path | None, console: Console, labels: tuple[str, ...]
) -> BundleData:
    """Return the data that a bundle is measured on: the test rows of its file, or its test file.

    Raises:
        DataError: there is no file, it cannot be used, or it has other labels.
    """
    if source is None:
        wanted = "that the bundle was trained on" if settings.test_share else "of the test texts"
        raise DataError(f"the figures of this bundle are measured on your own texts; name the data {wanted}: --data")
    options = make_options(settings, None)
    if not settings.test_share:
        found = read_labelled(source, options, labels)
        rows = sample(found, MOST_TEST_ROWS, settings.seed)
        test = coding.code(codec, rows, "Coding the test texts", console)
        data = LabelledData(rows, None, None, False, settings.seed)
        return BundleData(test.pad(codec), None, found.source.hash(), data)
    texts = read(source, options, settings.seed)
    if texts.labels != labels:
        raise DataError(f"{source} has the labels {', '.join(texts.labels)}, the bundle has {', '.join(labels)}")
    parts = split(settings, texts)
    test, validation = (
        coding.code(codec, part, what, console)
        for part, what in ((parts.test, "Coding the test texts"), (parts.validation, "Coding the validation texts"))
    )
    data = make_data(settings, texts, parts)
    return BundleData(test.pad(codec), validation.pad(codec), texts.description.data.sha256, data)


def _choose_network(
    settings: LabelledSettings, first: FirstNetwork | None, parts: Parts, console: Console
) -> tuple[TuningSettings, ReviewSettings, ReviewCodec]:
    """Return how the network is trained, its settings, and its codec with words of the data."""
    counted = (parts.training, parts.unlabelled)
    if first:
        counts = coding.count_words(first.tokeniser, counted, console)
        codec = first.extend(counts, settings.new_words, settings.least_count, settings.length)
        added = len(codec.vocabulary) - len(first.codec.vocabulary)
        _say(console, f"{len(first.codec.vocabulary):,} words of the first network, {added:,} words added")
        tuning, embedding, units = settings.transfer, first.embedding, first.units
    else:
        codec = coding.learn_codec(settings, counted, console)
        _say(console, f"{len(codec.vocabulary):,} words and endings of these texts")
        divisor = 2 if len(parts.training) < settings.small_rows else 1
        tuning = settings.scratch
        embedding, units = (max(1, size // divisor) for size in (settings.embedding, settings.units))
    return tuning, settings.make_network(tuning, codec.preprocessing.vocabulary_size, embedding, units), codec


def _find_further(
    settings: LabelledSettings,
    first: FirstNetwork | None,
    codec: ReviewCodec,
    parts: Parts,
    labels: tuple[str, ...],
    console: Console,
) -> tuple[Corpus, NDArray[np.float32], str] | None:
    """Return further texts to learn, their probabilities, float32 [texts, outputs], and a sentence about them."""
    if first and settings.replay and len(labels) == 2 and find_sides(labels) == find_sides(first.labels) == [0, 1]:
        texts = replay.list_texts(settings.replay, settings.seed)
        fact = f"It also learnt the first network's answers to {len(texts):,} short texts of this project."
        return Corpus.of(codec.encode(text).ids for text in texts), first.answer(texts), fact
    if not first and len(parts.unlabelled) >= settings.least_taught:
        corpus, answers = _teach(settings, codec, parts, console)
        return (
            corpus,
            answers,
            f"An n-gram model labelled {len(corpus):,} rows without a label, and it learnt these too.",
        )
    return None


def _can_be_taught(settings: LabelledSettings, training: Texts) -> bool:
    """Return whether n-grams label the training rows too; with more rows, their labels suffice."""
    return (
        settings.label_weight < 1
        and settings.least_taught <= len(training) <= teacher.MOST_LABELLED
        and np.bincount(training.labels).min() >= teacher.FOLDS
    )


def _mix_labels(
    settings: LabelledSettings, codec: ReviewCodec, rows: Texts, given: NDArray[np.float32], console: Console
) -> NDArray[np.float32]:
    """Return the weighted mean of the given labels and of those by n-grams, all float32 [rows, outputs]."""
    with console.status(f"Labelling {len(rows):,} rows with n-grams"):
        split = codec.preprocessing.tokeniser.split
        answers = teacher.label_unseen(settings.ngrams, split, tuple(rows.read()), rows.labels, settings.seed)
    return settings.label_weight * given + (1 - settings.label_weight) * answers


def _list_warnings(training: CodedTexts, test: CodedTexts) -> list[str]:
    return [
        f"{share:.0%} of the words of the {name} texts are not in the vocabulary; look at their language and at how "
        "they are split into words"
        for name, share in (("training", training.unknown_share), ("test", test.unknown_share))
        if share > coding.MOST_UNKNOWN
    ]


def _teach(
    settings: LabelledSettings, codec: ReviewCodec, parts: Parts, console: Console
) -> tuple[Corpus, NDArray[np.float32]]:
    """Return rows without a label, and their labels by n-grams, float32 [rows, outputs]."""
    labelled = sample(parts.training, teacher.MOST_LABELLED, settings.seed)
    rows = sample(parts.unlabelled, teacher.MOST_ASKED, settings.seed)
    with console.status(f"Labelling {len(rows):,} rows with n-grams"):
        split = codec.preprocessing.tokeniser.split
        asked = tuple(rows.read())
        answers = teacher.label(settings.ngrams, split, tuple(labelled.read()), labelled.labels, asked, settings.seed)
    return coding.code(codec, rows, "Coding the rows without a label", console).corpus, answers


def _join(corpora: list[Corpus]) -> Corpus:
    """Return the texts of all corpora in one."""
    if len(corpora) == 1:
        return corpora[0]
    lengths = np.concatenate([corpus.lengths for corpus in corpora])
    return Corpus(np.concatenate([corpus.ids for corpus in corpora]), np.cumsum(lengths))


def _find_temperature(answers: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Return the divisor of logits; 1 if all validation texts are answered right, because none is then best."""
    if answers.shape[1] == 1:
        if np.array_equal(answers[:, 0] >= 0.5, labels == 1):
            return 1.0
        return find_temperature(answers[:, 0], labels.astype(np.float32))
    if np.array_equal(answers.argmax(axis=1), labels):
        return 1.0
    return find_temperature_of_several(answers, labels)


def _publish(
    network: keras.Model,
    settings: ReviewSettings,
    codec: ReviewCodec,
    temperature: float,
    labels: tuple[str, ...],
) -> keras.Model:
    with TemporaryDirectory() as folder:
        weights = Path(folder) / _WEIGHTS
        network.save_weights(weights)
        return builders.build_published_network(settings, codec.preprocessing, weights, temperature, labels)


def _say(console: Console, message: str) -> None:
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def _warn(console: Console, message: str) -> None:
    console.print(f"Warning: {message}", markup=False, highlight=False, soft_wrap=True, style="yellow")
