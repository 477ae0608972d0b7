"""A sentiment network in stages, each of which leaves its result in a folder and goes on where it was stopped.

All reviews are coded; a large language model learns to read them, and with the labels becomes the teacher; teacher and
an n-gram model together label the unlabelled reviews. A student as large as the teacher, where there is one, begins
like it, learns from all labels, and labels once more with the others. The student that is published begins, where it is
smaller, with a language model of its own, over the word vectors of the large one, and learns from all labels.
"""

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from bundle.reviews import TokenTokeniser, WordTokeniser
from bundle.store import read_vocabulary, write_vocabulary
from training import coding, imdb, networks, ngrams
from training.adversarial import UNLABELLED
from training.calibration import divide_logits, find_temperature, to_logits
from training.corpus import Corpus, Reviews
from training.errors import CheckpointError, DataError, RecipeError
from training.files import replacing
from training.fit import COMPILES, History
from training.language_model import LanguageBatches, LanguageModel, count_steps, reduce_vectors
from training.resumable import fit_resumably, read_history
from training.settings import StagedSettings, TuningSettings
from training.tuning import give_weights, tune

_FORMAT = 1  # another one where the same settings give something else
_WHOLE = 10_000  # ids of a review that is cut nowhere

_SETTINGS = "settings.json"
_DONE = "done.json"
_LOCK = "lock"
_CHECKPOINT = "checkpoint.npz"
_WEIGHTS = "weights.npz"
_VOCABULARY = "vocabulary.txt"
_REVIEWS = "reviews.npz"
_ANSWERS = "answers.npy"
_NETWORK = "network.weights.h5"

Depends = dict[str, JsonValue]  # the settings that a stage depends on
Figures = dict[str, float]  # what a stage gave


class Stages:
    """The stages of one recipe; each runs those that it needs, unless they are done.

    The folder of a stage has a hash of all settings that it depends on in its name, so recipes that begin alike share
    their first stages, and none goes on from what does not fit.
    """

    def __init__(self, settings: StagedSettings, folder: Path, source: Path | None, console: Console) -> None:
        """Take the recipe's settings, the folder of what all stages leave, and the dataset."""
        self._settings = settings
        self._folder = folder
        self._source = source
        self._console = console

    @cached_property
    def data(self) -> imdb.Imdb:
        """The dataset, read when it is first asked for.

        Raises:
            DataError: it has no unlabelled reviews, or see `imdb.load`.
        """
        data = coding.load_reviews(self._source, self._console)
        if not data.unlabelled:
            raise DataError("the dataset has no train/unsup/*.txt, which this recipe learns from; get the whole")
        return data

    def corpus(self) -> Path:
        """Code all reviews."""
        return self._run("corpus", self._corpus_settings(), self._code)

    def language(self) -> Path:
        """Train the language model that the teacher begins with."""
        return self._language(self._settings.teacher)

    def teacher(self) -> Path:
        """Train the teacher on the labelled reviews."""
        return self._tuned("teacher", self._settings.teacher, {}, self._given_labels)

    def large(self) -> Path:
        """Train the large student on all reviews."""
        assert self._settings.large is not None
        return self._taught(self._settings.large, self._labelled_by([self.teacher()]))

    def labels(self) -> Path:
        """Label the unlabelled reviews, where there is a large student for the second time."""
        teacher = self.teacher()
        return self._labelled_by([teacher, self.large()] if self._settings.large else [teacher])

    def student(self) -> Path:
        """Train the student on all reviews."""
        return self._taught(self._settings.student, self.labels())

    def publish(self, any_length: bool = False) -> keras.Model:
        """Return the student as it is published: calibrated, with word vectors of 8 bits, and all else of 16."""
        folder, reviews = self.student(), self.reviews()
        settings = self._settings.network(self._settings.student)
        network = networks.build_review_network(settings, reviews.codec.preprocessing, any_length)
        network.load_weights(folder / _NETWORK)
        divide_logits(network, self._temperature)
        for layer in network.layers:
            if isinstance(layer, keras.layers.Embedding):
                layer.quantize("int8")
            else:
                layer.set_weights([weight.astype(np.float16) for weight in layer.get_weights()])
        return network

    def history(self) -> History:
        """Return the history of the student's training."""
        return read_history(self.student() / _CHECKPOINT)

    def count_seconds(self) -> float:
        """Return how long all stages took."""
        return sum(figures["seconds"] for _, figures in self._figures())

    def describe(self) -> str:
        """Return what a card tells of the stages, Markdown."""
        reviews = self.reviews()
        rows = "\n".join(
            f"| {name} | {figures['seconds'] / 60:.1f} min | "
            f"{_tell({key: value for key, value in figures.items() if key != 'seconds'})} |"
            for name, figures in self._figures()
        )
        return f"""\
Of these, {len(reviews.unlabelled):,} have no label but that of networks and n-grams. {len(reviews.held_out):,} more
labelled reviews were held out: they weigh networks against n-grams, and logits are divided by {self._temperature:.3f},
as is likeliest for them. Before that, and before weights were rounded to 8 and 16 bits, the stages gave:

| stage | time | figures |
|---|---|---|
{rows}
"""

    def _figures(self) -> list[tuple[str, Figures]]:
        """Return name and figures of every stage there is."""
        first = {"corpus": self.corpus(), "language": self.language(), "teacher": self.teacher()}
        if self._settings.large:
            first |= {"first labels": self._labelled_by([self.teacher()]), "large": self.large()}
        folders = first | {"labels": self.labels()}
        if not self._reads_as_teacher(self._settings.student):
            folders |= {"language of the student": self._language(self._settings.student)}
        folders |= {"student": self.student()}
        return [(name, json.loads((folder / _DONE).read_text())) for name, folder in folders.items()]

    @cached_property
    def _temperature(self) -> float:
        reviews = self.reviews()
        answers = np.load(self.student() / _ANSWERS)
        return find_temperature(answers[reviews.held_out], reviews.labels[reviews.held_out])

    def reviews(self) -> Reviews:
        """Return what the stage `corpus` leaves."""
        folder = self.corpus()
        codec = coding.make_review_codec(
            self._settings.network(self._settings.student), read_vocabulary(folder / _VOCABULARY)
        )
        with np.load(folder / _REVIEWS) as saved:
            return Reviews(codec, Corpus.open(folder), saved["labels"], saved["kept"], saved["held_out"])

    def _run(self, name: str, depends: Depends, work: Callable[[Path], Figures]) -> Path:
        """Return the folder of a stage, after its work unless that is done."""
        text = json.dumps(depends, indent=1, sort_keys=True)
        folder = self._folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if not (folder / _DONE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder):
                (folder / _SETTINGS).write_text(text)
                self._console.print(f"{name}: in {folder}", highlight=False, soft_wrap=True)
                started = time.monotonic()
                figures = work(folder)
                figures = {"seconds": time.monotonic() - started} | figures
                with replacing(folder / _DONE) as file:
                    file.write(json.dumps(figures).encode())
            self._console.print(f"{name}: done, {_tell(figures)}", highlight=False, soft_wrap=True)
        return folder

    def _corpus_settings(self) -> Depends:
        own = self._settings.model_dump(include={"vocabulary_size", "endings", "validation_share"})
        return own | {"dataset": self.data.sha256, "tokeniser": TokenTokeniser().model_dump(), "format": _FORMAT}

    def _language_settings(self, tuning: TuningSettings) -> Depends:
        own: Depends = {
            "seed": self._settings.seed,
            "embedding": tuning.embedding,
            "units": tuning.units,
            "language": tuning.language.model_dump(),
        }
        if not self._reads_as_teacher(tuning):
            own["vectors"] = self._language_settings(self._settings.teacher)
        return self._corpus_settings() | own

    def _reads_as_teacher(self, tuning: TuningSettings) -> bool:
        """Return whether a network begins with the language model of the teacher, and not one over its vectors."""
        teacher = self._settings.teacher
        parts = ("units", "embedding", "language")
        return all(getattr(tuning, part) == getattr(teacher, part) for part in parts)

    def _tuned_settings(self, tuning: TuningSettings) -> Depends:
        return self._language_settings(tuning) | {"length": self._settings.length, "tuning": tuning.model_dump()}

    def _language(self, tuning: TuningSettings) -> Path:
        return self._run(
            "language", self._language_settings(tuning), lambda folder: self._learn_language(folder, tuning)
        )

    def _tuned(
        self, name: str, tuning: TuningSettings, depends: Depends, make_labels: Callable[[], NDArray[np.float32]]
    ) -> Path:
        settings = self._tuned_settings(tuning) | depends
        return self._run(name, settings, lambda folder: self._tune(folder, tuning, make_labels()))

    def _taught(self, tuning: TuningSettings, labels: Path) -> Path:
        depends: Depends = {"labels": _read_settings(labels)}
        return self._tuned("student", tuning, depends, lambda: self._soft_labels(labels))

    def _labelled_by(self, networks: list[Path]) -> Path:
        depends: Depends = {
            "networks": [_read_settings(network) for network in networks],
            "ngrams": self._settings.ngrams.model_dump(),
        }
        return self._run("labels", depends, lambda folder: self._label(folder, networks))

    def _code(self, folder: Path) -> Figures:
        settings, data = self._settings.network(self._settings.student), self.data
        kept, held_out = map(np.sort, imdb.hold_out(data.train, self._settings.validation_share, "last", settings.seed))
        if not len(held_out):
            raise RecipeError(
                f"validation_share={self._settings.validation_share} of {len(data.train)} reviews holds out none; "
                "set a larger one"
            )
        labelled = [review.text for review in data.train]
        read = [labelled[k] for k in kept] + list(data.unlabelled)
        words = coding.learn_review_codec(settings, read, self._console).vocabulary
        codec = coding.make_review_codec(settings.model_copy(update={"length": _WHOLE}), list(words))
        corpus = Corpus.of(
            coding.code_each(codec, labelled + list(data.unlabelled), "Coding the reviews", self._console)
        )
        corpus.save(folder)
        write_vocabulary(folder / _VOCABULARY, words)
        labels = np.array([review.label for review in data.train], np.float32)
        np.savez(folder / _REVIEWS, labels=labels, kept=kept, held_out=held_out)
        return {"reviews": len(corpus), "words": len(corpus.ids)}

    def _learn_language(self, folder: Path, tuning: TuningSettings) -> Figures:
        """Train a language model on all reviews that are not held out."""
        settings, seed = tuning.language, self._settings.seed
        reviews = self.reviews()
        corpus, counts = reviews.take_not_held_out(), reviews.count_words()
        for each in (self._settings.teacher, self._settings.large, self._settings.student):
            if each is not None:
                count_steps(len(corpus.ids), each.language)  # that of a student is not to fail hours later
        keras.utils.set_random_seed(seed)
        model = LanguageModel(settings, tuning.units, tuning.embedding, counts, seed)
        batches = LanguageBatches(corpus, settings, counts, seed)
        model(batches[0][0])  # makes its variables
        if not self._reads_as_teacher(tuning):
            with np.load(self.language() / _WEIGHTS) as learnt:
                model.embedding.set_weights([reduce_vectors(learnt["embedding"], counts, tuning.embedding)])
            model.embedding.trainable = False
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, batches.epochs * len(batches))
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm), jit_compile=COMPILES)
        history = fit_resumably(model, batches, batches.epochs, folder / _CHECKPOINT, self._console)
        weights: dict[str, Any] = dict(model.get_reading_weights())
        np.savez(folder / _WEIGHTS, **weights)
        return _summarise(history)

    def _tune(self, folder: Path, tuning: TuningSettings, labels: NDArray[np.float32]) -> Figures:
        """Train a review network from its language model: see `training.tuning`."""
        language, reviews, seed = self._language(tuning), self.reviews(), self._settings.seed
        keras.utils.set_random_seed(seed)
        settings, preprocessing = self._settings.network(tuning), reviews.codec.preprocessing
        network = networks.build_review_network(settings, preprocessing, any_length=True)
        with np.load(language / _WEIGHTS) as weights:
            give_weights(network, dict(weights), reviews.count_words())
        history, answers = tune(network, tuning, reviews, labels, seed, folder / _CHECKPOINT, self._console)
        network.save_weights(folder / _NETWORK)
        np.save(folder / _ANSWERS, answers)
        return _summarise(history) | reviews.measure(answers)

    def _label(self, folder: Path, networks: list[Path]) -> Figures:
        """Weigh the answers of networks and of an n-gram model by a regression on the held-out reviews."""
        reviews = self.reviews()
        answers = [np.load(network / _ANSWERS) for network in networks]
        texts = [*(review.text for review in self.data.train), *self.data.unlabelled]
        asked, held_out = np.concatenate([reviews.held_out, reviews.unlabelled]), reviews.held_out
        counted = np.full(len(reviews.corpus), np.nan, np.float32)
        with self._console.status("Labelling the unlabelled reviews"):
            counted[asked] = ngrams.soft_label(
                self._settings.ngrams,
                WordTokeniser().split,
                [texts[k] for k in reviews.kept],
                reviews.labels[reviews.kept],
                [texts[k] for k in asked],
                self._settings.seed,
            )
        logits = np.stack([to_logits(each) for each in (*answers, counted)], axis=1)
        regression = LogisticRegression().fit(logits[held_out], reviews.labels[held_out])
        mixed = np.full_like(counted, np.nan)
        mixed[asked] = regression.predict_proba(logits[asked])[:, 1]
        np.save(folder / _ANSWERS, mixed)
        *weights, ngram_weight = map(float, regression.coef_[0])
        return {
            **dict(zip(("teacher_weight", "large_weight"), weights, strict=False)),
            "ngram_weight": ngram_weight,
            "ngram_accuracy": reviews.measure(counted)["held_out_accuracy"],
        } | reviews.measure(mixed)

    def _given_labels(self) -> NDArray[np.float32]:
        reviews = self.reviews()
        labels = np.full(len(reviews.corpus), UNLABELLED, np.float32)
        labels[reviews.kept] = reviews.labels[reviews.kept]
        return labels

    def _soft_labels(self, folder: Path) -> NDArray[np.float32]:
        labels, unlabelled = self._given_labels(), self.reviews().unlabelled
        labels[unlabelled] = np.load(folder / _ANSWERS)[unlabelled]
        return labels


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder.

    Raises:
        CheckpointError: one is in it.
    """
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another process works in {folder}; wait for it, or stop it") from error
        yield


def _read_settings(folder: Path) -> JsonValue:
    """Return what a stage depended on."""
    settings: JsonValue = json.loads((folder / _SETTINGS).read_text())
    return settings


def _summarise(history: History) -> Figures:
    seconds = history["seconds"]
    return {"seconds": float(np.median(seconds)) * len(seconds), "loss": history["loss"][-1]}  # without pauses


def _tell(figures: Figures) -> str:
    return ", ".join(f"{key} {value:,.4f}".rstrip("0").rstrip(".") for key, value in figures.items())
