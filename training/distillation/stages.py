"""A sentiment network in stages. Each stage saves its result in a folder, and continues where it was stopped.

All reviews are coded, and a large language model learns to read them. From it several teachers are trained, each
without a different part of the labelled reviews, and n-gram models without the same parts. Together they label all
reviews; each labelled review is scored only by models that never saw its label. In a second round another teacher, with
a language model of its own, learns from these labels and labels the unlabelled reviews again. The published student
learns from both sets of labels. It is smaller than its teachers, and starts from a language model of its own over their
word vectors.

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

from bundle.tokenisers import TokenTokeniser, WordTokeniser
from training.data import imdb, review_coding
from training.distillation import ngrams
from training.distillation.corpus import Reviews, hold_out
from training.distillation.language_model import LanguageBatches, LanguageModel, count_steps, reduce_vectors
from training.distillation.stage_folders import (
    Depends,
    Figures,
    StageFolders,
    describe_stage,
    read_depends,
    read_figures,
)
from training.distillation.tuning import give_weights, tune
from training.errors import DataError
from training.evaluation.calibration import average_answers, to_logits
from training.loops.fit import COMPILES, History
from training.loops.resumable import fit_resumably, read_history
from training.networks import builders
from training.networks.fused_lstm import narrow_products
from training.recipes.staged import LanguageSettings, StagedSettings, TuningSettings

# Increase a number when a stage changes its result for the same settings.
_FORMATS = {"corpus": 1, "ngrams": 1, "language": 2, "tuned": 3, "labels": 2}

_CHECKPOINT = "checkpoint.npz"
_WEIGHTS = "weights.npz"
_ANSWERS = "answers.npy"
_NETWORK = "network.weights.h5"


class Stages:
    """The stages of one recipe; each first runs the stages that it needs, if unfinished, and returns its folder."""

    def __init__(self, settings: StagedSettings, folder: Path, source: Path | None, console: Console) -> None:
        """Take the recipe's settings, the folder for the results of all stages, and the dataset."""
        self._settings = settings
        self._folders = StageFolders(folder, console, settings.stages)
        self._source = source
        self._console = console

    @cached_property
    def data(self) -> imdb.Imdb:
        """The dataset, read at its first use.

        Raises:
            DataError: it has no unlabelled reviews, or see `imdb.load`.
        """
        data = review_coding.load_reviews(self._source, self._console)
        if not data.unlabelled:
            raise DataError("the dataset has no train/unsup/*.txt, which this recipe needs; get the whole dataset")
        return data

    def corpus(self) -> Path:
        """Code all reviews."""
        own = self._settings.model_dump(include={"vocabulary_size", "endings", "validation_share"})
        data = {"dataset": self.data.sha256, "tokeniser": TokenTokeniser().model_dump()}
        return self._folders.run("corpus", own | data | {"format": _FORMATS["corpus"]}, self._code)

    def ngrams(self) -> Path:
        """Label the reviews with n-gram models."""
        depends: Depends = {
            "format": _FORMATS["ngrams"],
            "corpus": read_depends(self.corpus()),
            "ngrams": self._settings.ngrams.model_dump(),
            "folds": self._settings.folds,
            "seed": self._settings.seed,
        }
        return self._folders.run("ngrams", depends, self._count_ngrams)

    def language(self) -> Path:
        """Train the language model that the teachers start from."""
        return self._language(self._settings.language)

    def teachers(self) -> list[Path]:
        """Train the teachers on the labelled reviews."""
        return [self._teacher(fold) for fold in range(self._settings.folds)]

    def labels(self) -> Path:
        """Label all reviews with teachers and n-grams."""
        counted, teachers = self.ngrams(), self.teachers()
        depends: Depends = {
            "format": _FORMATS["labels"],
            "teachers": [read_depends(teacher) for teacher in teachers],
            "ngrams": read_depends(counted),
        }
        return self._folders.run("labels", depends, lambda folder: self._label(folder, teachers, counted))

    def second_round(self) -> Path | None:
        """Train a teacher on all reviews and label the unlabelled ones with it, if the recipe has a second round."""
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
        """Return the student for publication: calibrated, with 8-bit word vectors and other weights of 16 bits."""
        weights, preprocessing = self.student() / _NETWORK, self.reviews().codec.preprocessing
        return builders.build_published_network(self._settings.published, preprocessing, weights, self._temperature)

    def history(self) -> History:
        """Return the history of the student's training."""
        return read_history(self.student() / _CHECKPOINT)

    def count_seconds(self) -> float:
        """Return the seconds that all stages took."""
        return sum(read_figures(folder)["seconds"] for folder in {*self._list_folders().values()})

    def describe(self) -> str:
        """Return the section of a card on the stages, Markdown."""
        reviews = self.reviews()
        rows = "\n".join(describe_stage(name, folder) for name, folder in self._list_folders().items())
        return f"""\
Of these, {len(reviews.unlabelled):,} have no given label, only labels of networks and n-grams.
{len(reviews.held_out):,} more labelled reviews were held out. The weights of networks and n-grams are fitted on them,
so the figures of the stage `labels` on them are a little too good. The temperature, {self._temperature:.3f}, which
divides the student's logits, is fitted on them too. The figures below were measured before this division and before
weights were rounded to 8 and 16 bits. The loss of a language model is in nats per word against its sample; the loss of
adversarial training has both terms.

| stage | time | on | figures |
|---|---|---|---|
{rows}
"""

    def _list_folders(self) -> dict[str, Path]:
        """Return the folder of every stage, in running order."""
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
        return self.reviews().find_temperature(np.load(self.student() / _ANSWERS))

    def reviews(self) -> Reviews:
        """Return the result of the stage `corpus`."""
        return Reviews.open(self.corpus(), self._settings.published)

    def _language(self, settings: LanguageSettings, vectors: Path | None = None, stage: str = "language") -> Path:
        """Train a language model; `vectors` is the folder of another one, whose word vectors it uses.

        `stage` is the stage of the recipe that it belongs to.
        """
        depends: Depends = {
            "format": _FORMATS["language"],
            "corpus": read_depends(self.corpus()),
            "language": settings.model_dump(),
            "seed": self._settings.seed,
            "vectors": read_depends(vectors) if vectors else None,
        }
        return self._folders.run(
            "language", depends, lambda folder: self._learn_language(folder, settings, vectors), stage
        )

    def _last_language(self) -> Path:
        """Train the language model that the last teachers start from."""
        stage = "second_round" if self._settings.second_round else "language"
        return self._language(self._settings.last_language, stage=stage)

    def _student_language(self) -> Path:
        """Train the language model that the student starts from: its own, or the last teachers' model."""
        if self._settings.student_language is None:
            return self._last_language()
        return self._language(self._settings.student_language, self._last_language(), "student")

    def _teacher(self, fold: int) -> Path:
        """Train a teacher on the labelled reviews without one part of them."""
        settings, language = self._settings, self.language()
        depends = self._depends(language, settings.teacher) | {"fold": fold, "folds": settings.folds}

        def work(folder: Path) -> Figures:
            reviews = self.reviews()
            unseen = reviews.split(settings.folds)[fold]
            asked = np.concatenate([unseen, reviews.held_out, reviews.unlabelled])
            return self._tune(folder, settings.teacher, language, reviews.label(unseen), asked)

        return self._folders.run("teacher", depends, work, "teachers")

    def _learn_labels(
        self,
        name: str,
        tuning: TuningSettings,
        labels: list[Path],
        language: Path,
        ask: Callable[[Reviews], NDArray[np.intp]],
    ) -> Path:
        """Train a network on all reviews with their labels; of several rounds, on the mean of the labels.

        `ask` returns the numbers of the reviews that the trained network answers.
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
        """Return the inputs of every stage that trains a review network from a language model."""
        return {
            "format": _FORMATS["tuned"],
            "language": read_depends(language),
            "length": self._settings.length,
            "tuning": tuning.model_dump(),
        }

    def _code(self, folder: Path) -> Figures:
        settings, data = self._settings.published, self.data
        kept, held_out = hold_out(data, settings)
        read = data.take_training_texts(kept)
        words = review_coding.learn_review_codec(settings, read, self._console).vocabulary
        reviews = Reviews.code(data, settings, list(words), (kept, held_out), self._console)
        reviews.save(folder)
        return {"reviews": len(reviews.corpus), "words": len(reviews.corpus.ids)}

    def _learn_language(self, folder: Path, settings: LanguageSettings, vectors: Path | None) -> Figures:
        """Train a language model on all reviews that are not held out."""
        seed, reviews = self._settings.seed, self.reviews()
        corpus, counts = reviews.take_not_held_out(), reviews.count_words()
        for later in (self._settings.last_language, self._settings.student_language):
            if later:
                count_steps(len(corpus.ids), later)  # raises now instead of hours later
        keras.utils.set_random_seed(seed)
        model = LanguageModel(settings, counts, seed)
        batches = LanguageBatches(corpus, settings, counts, seed)
        model(batches[0][0])  # creates its variables
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
        """Train n-gram models, each without one part of the labelled reviews, and average their answers."""
        reviews = self.reviews()
        texts = self.data.training_texts
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
        """Combine the answers of networks and n-gram models by a logistic regression on the held-out reviews."""
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
