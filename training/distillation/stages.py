"""A sentiment network in stages, each of which leaves its result in a folder and goes on where it was stopped.

All reviews are coded, and a large language model learns to read them. With the labels it becomes several teachers, each
of which is trained without another part of the labelled reviews; so are as many n-gram models. Together they label all
reviews, the labelled ones by those that have not seen their labels. In a second round another teacher, with a language
model of its own, learns from these and labels the reviews without a label once more. The student that is published
learns from both; smaller than its teachers, it begins with a language model of its own, over their word vectors.

Sources: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification"; Hinton, Vinyals and Dean
2015, "Distilling the Knowledge in a Neural Network"; Xie et al. 2020, "Self-Training With Noisy Student Improves
ImageNet Classification".
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from bundle.reviews import TokenTokeniser, WordTokeniser, read_vocabulary, write_vocabulary
from training.data import imdb, review_coding
from training.distillation import ngrams
from training.distillation.corpus import Corpus, Reviews
from training.distillation.language_model import LanguageBatches, LanguageModel, count_steps, reduce_vectors
from training.distillation.stage_folders import (
    Depends,
    Figures,
    StageFolders,
    read_depends,
    read_environment,
    read_figures,
    tell,
)
from training.distillation.tuning import give_weights, tune
from training.errors import DataError, RecipeError
from training.evaluation.calibration import average_answers, divide_logits, find_temperature, to_logits
from training.loops.fit import COMPILES, History
from training.loops.resumable import fit_resumably, read_history
from training.networks import builders
from training.networks.fused_lstm import narrow_products
from training.recipes.staged import LanguageSettings, StagedSettings, TuningSettings

# Raised when a stage gives something else with the same settings.
_FORMATS = {"corpus": 1, "ngrams": 1, "language": 2, "tuned": 2, "labels": 2}
_WHOLE = 10_000  # ids of a review that is cut nowhere

_CHECKPOINT = "checkpoint.npz"
_WEIGHTS = "weights.npz"
_VOCABULARY = "vocabulary.txt"
_REVIEWS = "reviews.npz"
_ANSWERS = "answers.npy"
_NETWORK = "network.weights.h5"


class Stages:
    """The stages of one recipe; each runs those that it needs, unless they are done, and returns its folder."""

    def __init__(self, settings: StagedSettings, folder: Path, source: Path | None, console: Console) -> None:
        """Take the recipe's settings, the folder of what all stages leave, and the dataset."""
        self._settings = settings
        self._folders = StageFolders(folder, console)
        self._source = source
        self._console = console

    @cached_property
    def data(self) -> imdb.Imdb:
        """The dataset, read when it is first asked for.

        Raises:
            DataError: it has no unlabelled reviews, or see `imdb.load`.
        """
        data = review_coding.load_reviews(self._source, self._console)
        if not data.unlabelled:
            raise DataError("the dataset has no train/unsup/*.txt, which this recipe learns from; get the whole")
        return data

    def corpus(self) -> Path:
        """Code all reviews."""
        own = self._settings.model_dump(include={"vocabulary_size", "endings", "validation_share"})
        data = {"dataset": self.data.sha256, "tokeniser": TokenTokeniser().model_dump()}
        return self._folders.run("corpus", own | data | {"format": _FORMATS["corpus"]}, self._code)

    def ngrams(self) -> Path:
        """Let n-gram models label the reviews."""
        depends: Depends = {
            "format": _FORMATS["ngrams"],
            "corpus": read_depends(self.corpus()),
            "ngrams": self._settings.ngrams.model_dump(),
            "folds": self._settings.folds,
            "seed": self._settings.seed,
        }
        return self._folders.run("ngrams", depends, self._count_ngrams)

    def language(self) -> Path:
        """Train the language model that the teachers begin with."""
        return self._language(self._settings.language)

    def teachers(self) -> list[Path]:
        """Train the teachers on the labelled reviews."""
        return [self._teacher(fold) for fold in range(self._settings.folds)]

    def labels(self) -> Path:
        """Label all reviews by teachers and n-grams."""
        counted, teachers = self.ngrams(), self.teachers()
        depends: Depends = {
            "format": _FORMATS["labels"],
            "teachers": [read_depends(teacher) for teacher in teachers],
            "ngrams": read_depends(counted),
        }
        return self._folders.run("labels", depends, lambda folder: self._label(folder, teachers, counted))

    def second_round(self) -> Path | None:
        """Train a teacher on all reviews and let it label those without a label, if the recipe has a second round."""
        settings = self._settings.second_round
        if not settings:
            return None
        return self._learn_labels(
            "second_round",
            settings.teacher,
            [self.labels()],
            self._last_language(),
            lambda reviews: np.concatenate([reviews.held_out, reviews.unlabelled]),
        )

    def student(self) -> Path:
        """Train the student on all reviews."""
        labels = [folder for folder in (self.labels(), self.second_round()) if folder]
        return self._learn_labels(
            "student", self._settings.student, labels, self._student_language(), lambda reviews: reviews.held_out
        )

    def publish(self) -> keras.Model:
        """Return the student as it is published: calibrated, with word vectors of 8 bits, and all else of 16."""
        folder, preprocessing = self.student(), self.reviews().codec.preprocessing
        network = builders.build_review_network(self._settings.published, preprocessing)
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
        return sum(read_figures(folder)["seconds"] for folder in {*self._list_folders().values()})

    def describe(self) -> str:
        """Return what a card tells of the stages, Markdown."""
        reviews = self.reviews()
        rows = "\n".join(_describe(name, folder) for name, folder in self._list_folders().items())
        return f"""\
Of these, {len(reviews.unlabelled):,} have no label but that of networks and n-grams. {len(reviews.held_out):,} more
labelled reviews were held out: by them networks are weighed against n-grams, so that the figures of labels on them are
a little too good, and the student's logits divided by a temperature, {self._temperature:.3f}. Before that, and before
weights were rounded to 8 and 16 bits, the stages gave the following. The loss of a language model is in nats a word
against its sample; that of adversarial training has both parts.

| stage | time | on | figures |
|---|---|---|---|
{rows}
"""

    def _list_folders(self) -> dict[str, Path]:
        """Return the folder of every stage, in the order in which they are run."""
        folders = {"corpus": self.corpus(), "ngrams": self.ngrams(), "language": self.language()}
        folders |= {f"teacher {number}": folder for number, folder in enumerate(self.teachers(), 1)}
        folders |= {"labels": self.labels()}
        if second := self.second_round():
            folders |= {"language of the second round": self._last_language(), "teacher of the second round": second}
        if self._settings.student_language:
            folders |= {"language of the student": self._student_language()}
        return folders | {"student": self.student()}

    @cached_property
    def _temperature(self) -> float:
        reviews = self.reviews()
        answers = np.load(self.student() / _ANSWERS)
        return find_temperature(answers[reviews.held_out], reviews.labels[reviews.held_out])

    def reviews(self) -> Reviews:
        """Return what the stage `corpus` leaves."""
        folder = self.corpus()
        codec = review_coding.make_review_codec(self._settings.published, read_vocabulary(folder / _VOCABULARY))
        with np.load(folder / _REVIEWS) as saved:
            return Reviews(codec, Corpus.open(folder), saved["labels"], saved["kept"], saved["held_out"])

    def _language(self, settings: LanguageSettings, vectors: Path | None = None) -> Path:
        """Train a language model, over the word vectors of another one where it is given."""
        depends: Depends = {
            "format": _FORMATS["language"],
            "corpus": read_depends(self.corpus()),
            "language": settings.model_dump(),
            "seed": self._settings.seed,
            "vectors": read_depends(vectors) if vectors else None,
        }
        return self._folders.run("language", depends, lambda folder: self._learn_language(folder, settings, vectors))

    def _last_language(self) -> Path:
        """Train the language model that the last teachers begin with."""
        return self._language(self._settings.last_language)

    def _student_language(self) -> Path:
        """Train the language model that the student begins with, if it has one of its own."""
        if self._settings.student_language is None:
            return self._last_language()
        return self._language(self._settings.student_language, vectors=self._last_language())

    def _teacher(self, fold: int) -> Path:
        """Train a teacher without a part of the labelled reviews, on the others."""
        settings, language = self._settings, self.language()
        depends = self._depends(language, settings.teacher) | {"fold": fold, "folds": settings.folds}

        def work(folder: Path) -> Figures:
            reviews = self.reviews()
            unseen = reviews.split(settings.folds)[fold]
            asked = np.concatenate([unseen, reviews.held_out, reviews.unlabelled])
            return self._tune(folder, settings.teacher, language, reviews.label(unseen), asked)

        return self._folders.run("teacher", depends, work)

    def _learn_labels(
        self,
        name: str,
        tuning: TuningSettings,
        labels: list[Path],
        language: Path,
        ask: Callable[[Reviews], NDArray[np.intp]],
    ) -> Path:
        """Train a network on all reviews with their labels, the mean of those of several rounds where there are some.

        `ask` gives the numbers of those that it answers once it is trained.
        """
        weight = self._settings.label_weight
        depends = self._depends(language, tuning) | {
            "labels": [read_depends(folder) for folder in labels],
            "label_weight": weight,
        }

        def work(folder: Path) -> Figures:
            reviews = self.reviews()
            mixed = reviews.mix_labels(average_answers([np.load(each / _ANSWERS) for each in labels]), weight)
            return self._tune(folder, tuning, language, mixed, ask(reviews))

        return self._folders.run(name, depends, work)

    def _depends(self, language: Path, tuning: TuningSettings) -> Depends:
        """Return what every review network depends on that begins with a language model."""
        return {
            "format": _FORMATS["tuned"],
            "language": read_depends(language),
            "length": self._settings.length,
            "tuning": tuning.model_dump(),
        }

    def _code(self, folder: Path) -> Figures:
        settings, data = self._settings.published, self.data
        kept, held_out = map(np.sort, imdb.hold_out(data.train, self._settings.validation_share, "last", settings.seed))
        if not len(held_out):
            raise RecipeError(
                f"validation_share={self._settings.validation_share} of {len(data.train)} reviews holds out none; "
                "set a larger one"
            )
        labelled = [review.text for review in data.train]
        read = [labelled[k] for k in kept] + list(data.unlabelled)
        words = review_coding.learn_review_codec(settings, read, self._console).vocabulary
        codec = review_coding.make_review_codec(settings.model_copy(update={"length": _WHOLE}), list(words))
        corpus = Corpus.of(
            review_coding.code_each(codec, labelled + list(data.unlabelled), "Coding the reviews", self._console)
        )
        corpus.save(folder)
        write_vocabulary(folder / _VOCABULARY, words)
        labels = np.array([review.label for review in data.train], np.float32)
        np.savez(folder / _REVIEWS, labels=labels, kept=kept, held_out=held_out)
        return {"reviews": len(corpus), "words": len(corpus.ids)}

    def _learn_language(self, folder: Path, settings: LanguageSettings, vectors: Path | None) -> Figures:
        """Train a language model on all reviews that are not held out."""
        seed, reviews = self._settings.seed, self.reviews()
        corpus, counts = reviews.take_not_held_out(), reviews.count_words()
        for later in (self._settings.last_language, self._settings.student_language):
            if later:
                count_steps(len(corpus.ids), later)  # is not to fail hours later
        keras.utils.set_random_seed(seed)
        model = LanguageModel(settings, counts, seed)
        batches = LanguageBatches(corpus, settings, counts, seed)
        model(batches[0][0])  # makes its variables
        if vectors:
            with np.load(vectors / _WEIGHTS) as learnt:
                model.embedding.set_weights([reduce_vectors(learnt["embedding"], counts, settings.embedding)])
            model.embedding.trainable = False
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, batches.steps)
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm), jit_compile=COMPILES)
        with narrow_products():
            history = fit_resumably(model, batches, batches.epochs, folder / _CHECKPOINT, self._console)
        weights: dict[str, Any] = dict(model.get_reading_weights())
        np.savez(folder / _WEIGHTS, **weights)
        return _summarise(history)

    def _count_ngrams(self, folder: Path) -> Figures:
        """Train n-gram models, each without a part of the labelled reviews, and average their answers."""
        reviews = self.reviews()
        texts = [*(review.text for review in self.data.train), *self.data.unlabelled]
        answers = []
        for unseen in reviews.split(self._settings.folds):
            seen = np.setdiff1d(reviews.kept, unseen)
            asked = np.concatenate([unseen, reviews.held_out, reviews.unlabelled])
            answers.append(np.full(len(reviews.corpus), np.nan, np.float32))
            with self._console.status(f"Counting n-grams for the part {len(answers)} of {self._settings.folds}"):
                answers[-1][asked] = ngrams.soft_label(
                    self._settings.ngrams,
                    WordTokeniser().split,
                    [texts[k] for k in seen],
                    reviews.labels[seen],
                    [texts[k] for k in asked],
                    self._settings.seed,
                )
        averaged = average_answers(answers)
        np.save(folder / _ANSWERS, averaged)
        return reviews.measure(averaged)

    def _tune(
        self,
        folder: Path,
        tuning: TuningSettings,
        language: Path,
        labels: NDArray[np.float32],
        asked: NDArray[np.intp],
    ) -> Figures:
        """Train a review network from its language model: see `training.distillation.tuning`."""
        reviews, seed = self.reviews(), self._settings.seed
        reader = LanguageSettings.model_validate(read_depends(language)["language"])
        keras.utils.set_random_seed(seed)
        network = builders.build_review_network(
            self._settings.network(reader, tuning), reviews.codec.preprocessing, any_length=True
        )
        with np.load(language / _WEIGHTS) as weights:
            give_weights(network, dict(weights), reviews.count_words())
        history, answers = tune(network, tuning, reviews, labels, asked, seed, folder / _CHECKPOINT, self._console)
        network.save_weights(folder / _NETWORK)
        np.save(folder / _ANSWERS, answers)
        return _summarise(history) | reviews.measure(answers)

    def _label(self, folder: Path, teachers: list[Path], counted: Path) -> Figures:
        """Weigh the answers of networks and n-gram models by a regression on the held-out reviews."""
        reviews = self.reviews()
        answers = {
            "teachers": average_answers([np.load(teacher / _ANSWERS) for teacher in teachers]),
            "ngrams": np.load(counted / _ANSWERS),
        }
        logits = np.stack([to_logits(each) for each in answers.values()], axis=1)
        regression = LogisticRegression().fit(logits[reviews.held_out], reviews.labels[reviews.held_out])
        mixed = regression.predict_proba(logits)[:, 1].astype(np.float32)
        np.save(folder / _ANSWERS, mixed)
        return {f"{name}_weight": float(weight) for name, weight in zip(answers, regression.coef_[0], strict=True)} | {
            **{f"{name}_accuracy": reviews.measure(each)["held_out_accuracy"] for name, each in answers.items()},
            **reviews.measure(mixed),
        }


def _summarise(history: History) -> Figures:
    seconds = history["seconds"]
    return {"seconds": float(np.median(seconds)) * len(seconds), "loss": history["loss"][-1]}  # without pauses


def _describe(name: str, folder: Path) -> str:
    """Return the row of a stage in the table of a card."""
    figures = read_figures(folder)
    minutes = figures.pop("seconds") / 60
    return f"| {name} | {minutes:.1f} min | {read_environment(folder)} | {tell(figures)} |"
