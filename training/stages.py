"""A sentiment network in stages, each of which leaves its result in a folder and goes on where it was stopped.

All reviews are coded; a large language model learns to read them, and with the labels becomes the teacher; teacher and
an n-gram model together label the unlabelled reviews. A student as large as the teacher, where there is one, begins
like it, learns from all labels, and labels once more with the others. The student that is published begins, where it is
smaller, with a language model of its own, over the word vectors of the large one, and learns from all labels.

Sources: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification"; Hinton, Vinyals and Dean
2015, "Distilling the Knowledge in a Neural Network"; Xie et al. 2020, "Self-Training With Noisy Student Improves
ImageNet Classification".
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from bundle.reviews import TokenTokeniser, WordTokeniser
from bundle.store import read_vocabulary, write_vocabulary
from training import coding, imdb, networks, ngrams
from training.calibration import divide_logits, find_temperature, to_logits
from training.corpus import Corpus, Reviews
from training.errors import DataError, RecipeError
from training.fit import COMPILES, History
from training.fused_lstm import narrow_products
from training.language_model import LanguageBatches, LanguageModel, count_steps, reduce_vectors
from training.resumable import fit_resumably, read_history
from training.settings import LanguageSettings, StagedSettings, TuningSettings
from training.stage_folders import Depends, Figures, StageFolders, read_depends, read_figures, tell
from training.tuning import give_weights, tune

# Another one where the same settings give something else.
_FORMATS = {"corpus": 1, "language": 2, "tuned": 1, "labels": 1}
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
        data = coding.load_reviews(self._source, self._console)
        if not data.unlabelled:
            raise DataError("the dataset has no train/unsup/*.txt, which this recipe learns from; get the whole")
        return data

    def corpus(self) -> Path:
        """Code all reviews."""
        own = self._settings.model_dump(include={"vocabulary_size", "endings", "validation_share"})
        data = {"dataset": self.data.sha256, "tokeniser": TokenTokeniser().model_dump()}
        return self._folders.run("corpus", own | data | {"format": _FORMATS["corpus"]}, self._code)

    def language(self) -> Path:
        """Train the language model that the teacher begins with."""
        return self._language(self._settings.language)

    def teacher(self) -> Path:
        """Train the teacher on the labelled reviews."""
        return self._tuned("teacher", self._settings.teacher, self.language(), labels=None)

    def large(self) -> Path:
        """Train the large student on all reviews."""
        assert self._settings.large is not None
        return self._tuned("student", self._settings.large, self.language(), self._first_labels())

    def labels(self) -> Path:
        """Label the unlabelled reviews, where there is a large student for the second time."""
        return self._labels([self.teacher(), self.large()]) if self._settings.large else self._first_labels()

    def student(self) -> Path:
        """Train the student on all reviews."""
        labels = self.labels()
        return self._tuned("student", self._settings.student, self._student_language(), labels)

    def publish(self, any_length: bool = False) -> keras.Model:
        """Return the student as it is published: calibrated, with word vectors of 8 bits, and all else of 16."""
        folder, preprocessing = self.student(), self.reviews().codec.preprocessing
        network = networks.build_review_network(self._settings.published, preprocessing, any_length)
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
        return sum(figures["seconds"] for figures in self._figures().values())

    def describe(self) -> str:
        """Return what a card tells of the stages, Markdown."""
        reviews = self.reviews()
        rows = "\n".join(
            f"| {name} | {figures['seconds'] / 60:.1f} min | "
            f"{tell({key: value for key, value in figures.items() if key != 'seconds'})} |"
            for name, figures in self._figures().items()
        )
        return f"""\
Of these, {len(reviews.unlabelled):,} have no label but that of networks and n-grams. {len(reviews.held_out):,} more
labelled reviews were held out: they weigh networks against n-grams, so that the figures of labels on them are a little
too good, and logits are divided by {self._temperature:.3f}, as is likeliest for them. Before that, and before weights
were rounded to 8 and 16 bits, the stages gave:

| stage | time | figures |
|---|---|---|
{rows}
"""

    def _figures(self) -> dict[str, Figures]:
        """Return what every stage gave, in the order in which they were run."""
        folders = {"corpus": self.corpus(), "language": self.language(), "teacher": self.teacher()}
        if self._settings.large:
            folders |= {"first labels": self._first_labels(), "large": self.large()}
        folders |= {"labels": self.labels()}
        if self._settings.student_language:
            folders |= {"language of the student": self._student_language()}
        folders |= {"student": self.student()}
        return {name: read_figures(folder) for name, folder in folders.items()}

    @cached_property
    def _temperature(self) -> float:
        reviews = self.reviews()
        answers = np.load(self.student() / _ANSWERS)
        return find_temperature(answers[reviews.held_out], reviews.labels[reviews.held_out])

    def reviews(self) -> Reviews:
        """Return what the stage `corpus` leaves."""
        folder = self.corpus()
        codec = coding.make_review_codec(self._settings.published, read_vocabulary(folder / _VOCABULARY))
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

    def _student_language(self) -> Path:
        if self._settings.student_language is None:
            return self.language()
        return self._language(self._settings.student_language, vectors=self.language())

    def _tuned(self, name: str, tuning: TuningSettings, language: Path, labels: Path | None) -> Path:
        """Train a review network from its language model, on given labels or on those of an earlier stage too."""
        depends: Depends = {
            "format": _FORMATS["tuned"],
            "language": read_depends(language),
            "labels": read_depends(labels) if labels else None,
            "length": self._settings.length,
            "tuning": tuning.model_dump(),
        }
        return self._folders.run(name, depends, lambda folder: self._tune(folder, tuning, language, labels))

    def _first_labels(self) -> Path:
        return self._labels([self.teacher()])

    def _labels(self, teachers: list[Path]) -> Path:
        """Label the unlabelled reviews by networks and n-grams."""
        depends: Depends = {
            "format": _FORMATS["labels"],
            "teachers": [read_depends(teacher) for teacher in teachers],
            "ngrams": self._settings.ngrams.model_dump(),
        }
        return self._folders.run("labels", depends, lambda folder: self._label(folder, teachers))

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

    def _learn_language(self, folder: Path, settings: LanguageSettings, vectors: Path | None) -> Figures:
        """Train a language model on all reviews that are not held out."""
        seed, reviews = self._settings.seed, self.reviews()
        corpus, counts = reviews.take_not_held_out(), reviews.count_words()
        if self._settings.student_language:
            count_steps(len(corpus.ids), self._settings.student_language)  # is not to fail hours later
        keras.utils.set_random_seed(seed)
        model = LanguageModel(settings, counts, seed)
        batches = LanguageBatches(corpus, settings, counts, seed)
        model(batches[0][0])  # makes its variables
        if vectors:
            with np.load(vectors / _WEIGHTS) as learnt:
                model.embedding.set_weights([reduce_vectors(learnt["embedding"], counts, settings.embedding)])
            model.embedding.trainable = False
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, batches.epochs * len(batches))
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm), jit_compile=COMPILES)
        with narrow_products():
            history = fit_resumably(model, batches, batches.epochs, folder / _CHECKPOINT, self._console)
        weights: dict[str, Any] = dict(model.get_reading_weights())
        np.savez(folder / _WEIGHTS, **weights)
        return _summarise(history)

    def _tune(self, folder: Path, tuning: TuningSettings, language: Path, labels: Path | None) -> Figures:
        """Train a review network from its language model: see `training.tuning`."""
        reviews, seed = self.reviews(), self._settings.seed
        reader = LanguageSettings.model_validate(read_depends(language)["language"])
        keras.utils.set_random_seed(seed)
        network = networks.build_review_network(
            self._settings.network(reader, tuning), reviews.codec.preprocessing, any_length=True
        )
        with np.load(language / _WEIGHTS) as weights:
            give_weights(network, dict(weights), reviews.count_words())
        known = reviews.label(np.load(labels / _ANSWERS) if labels else None)
        history, answers = tune(network, tuning, reviews, known, seed, folder / _CHECKPOINT, self._console)
        network.save_weights(folder / _NETWORK)
        np.save(folder / _ANSWERS, answers)
        return _summarise(history) | reviews.measure(answers)

    def _label(self, folder: Path, teachers: list[Path]) -> Figures:
        """Weigh the answers of networks and of an n-gram model by a regression on the held-out reviews."""
        reviews = self.reviews()
        answers = [np.load(teacher / _ANSWERS) for teacher in teachers]
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


def _summarise(history: History) -> Figures:
    seconds = history["seconds"]
    return {"seconds": float(np.median(seconds)) * len(seconds), "loss": history["loss"][-1]}  # without pauses
