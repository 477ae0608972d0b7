"""A review network that also judges short texts. Each stage saves its result, and continues where it was stopped.

Reviews teach what a long text means as a whole, but not what "not bad" means: a review with these words is more often
negative. So a pretrained transformer learns from phrases and sentences that people have judged, from pairs of opinions,
composed sentences and ratings, and then labels sentences and beginnings of the reviews. The network starts from the
weights of a network that judges reviews, and learns from all of these together: from the reviews, with its first
answers as labels; from reviews with a story pasted in, with the answers of the review alone; and from the short and the
labelled texts.

Sources: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks"; Wang et al. 2020,
"MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers"; Li and Hoiem 2016,
"Learning without Forgetting"; Kaushik, Hovy and Lipton 2020, "Learning the Difference that Makes a Difference with
Counterfactually-Augmented Data".
"""

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.readable import ReadableTokeniser
from bundle.reviews import RESERVED_IDS
from bundle.rows import Row
from bundle.store import Bundle
from training.data import imdb, pairs, phrases, review_coding, treebank
from training.data.sources import Sources
from training.distillation.corpus import Corpus, Reviews, hold_out
from training.distillation.review_batches import predict
from training.distillation.stage_folders import (
    Depends,
    Figures,
    StageFolders,
    describe_stage,
    read_depends,
    read_figures,
)
from training.distillation.tuning import tune
from training.errors import DataError, RecipeError
from training.evaluation.analysis import Answer, make_answer
from training.evaluation.calibration import Sharpness, find_sharpness, to_probabilities
from training.general.first_network import FirstNetwork
from training.general.mixture import LabelledTexts, mix
from training.general.sentences import split_sentences, take_openings, take_short, take_stories
from training.general.short_texts import ShortTexts, collect
from training.general.transformer import Transformer, hash_pretrained
from training.loops.fit import History
from training.loops.resumable import read_history
from training.networks import builders
from training.recipes.general import GeneralSettings, ShortTextSettings
from training.wild.figures import measure_suite
from training.wild.suites import Suite, make_pairs, make_treebank

# Increase a number when a stage changes its result for the same settings.
_FORMATS = {"coded": 2, "transformer": 3, "general": 2}

_CHECKPOINT = "checkpoint"
_LABELLED = "labelled.json"
_LOGITS = "logits.npy"
_ANSWERS = "answers.npy"
_NETWORK = "network.weights.h5"

# In short texts. An emoji, a mention or a censored word that occurs less often is read as its class.
_LEAST_USES = 30


class GeneralStages:
    """The stages of one recipe; each first runs the stages that it needs, if unfinished, and returns its folder."""

    def __init__(
        self, settings: GeneralSettings, start: Bundle, sources: Sources, folder: Path, console: Console
    ) -> None:
        """Take the recipe's settings, the bundle to start from, the data, and the folder for all results.

        Raises:
            RecipeError: the bundle does not fit, or a source is missing.
            DataError: the pairs or the user's own phrases cannot be read, or a part of the pairs is missing.
        """
        self._start = FirstNetwork(start, settings)
        if not (sources.phrases and sources.transformer):
            raise RecipeError(
                "this recipe needs --phrases, the archive of the Stanford Sentiment Treebank (files of your own come "
                "besides it), and --transformer, the folder of a pretrained transformer"
            )
        self._settings = settings
        self._trees, self._transformer_folder = sources.phrases, sources.transformer
        self._sources = sources
        # Now: a fault in them must not come after hours.
        self._own_phrases = phrases.load(sources.own_phrases)
        self._pairs = pairs.load("train", sources.pairs)
        self._pairs_hash = pairs.hash_files(sources.pairs)
        self._development_pairs = make_pairs("development", sources.pairs)
        self._folders = StageFolders(folder, console, settings.stages)
        self._console = console

    @cached_property
    def data(self) -> imdb.Imdb:
        """The reviews, read at their first use.

        Raises:
            DataError: see `imdb.load`.
        """
        return review_coding.load_reviews(self._sources.reviews, self._console)

    @property
    def suites(self) -> tuple[Suite, ...]:
        """Further texts to measure the network on: the treebank's sentences for development."""
        return (make_treebank(self._treebank),)

    @property
    def learnt_from(self) -> dict[str, str]:
        """SHA-256 of what it learns from besides the reviews, by the names of a manifest."""
        hashes = {"phrases": self._treebank.sha256, "pairs": self._pairs_hash}
        if own := self._own_phrases.sha256:
            hashes["own_phrases"] = own
        return hashes

    def coded(self) -> Path:
        """Choose the vocabulary, code all reviews, and ask the first network about them."""
        fields = {"vocabulary_size", "endings", "short_text_words", "validation_share"}
        depends: Depends = {
            **self._settings.model_dump(include=fields),
            "format": _FORMATS["coded"],
            "start": self._start.manifest.checksum,
            "dataset": self.data.sha256,
            "short_texts": self._texts_of_transformer.hash(),
            "tokeniser": ReadableTokeniser().model_dump(),
        }
        return self._folders.run("coded", depends, self._code)

    def transformer(self) -> Path:
        """Train the transformer and label sentences of the reviews with it."""
        depends: Depends = {
            "format": _FORMATS["transformer"],
            "dataset": self.data.sha256,
            "transformer": self._settings.transformer.model_dump(),
            "pretrained": hash_pretrained(self._transformer_folder),
            "short_texts": self._texts_of_transformer.hash(),
            **self._settings.model_dump(include={"validation_share", "sentences", "openings", "seed"}),
        }
        return self._folders.run("transformer", depends, self._train_transformer)

    def network(self) -> Path:
        """Train the network."""
        settings = self._settings
        labelled, short_texts = self.transformer(), self._collect_texts(settings.learning)
        depends: Depends = {
            "format": _FORMATS["general"],
            "coded": read_depends(self.coded()),
            "transformer": read_depends(labelled),
            "short_texts": short_texts.hash(),
            **settings.model_dump(
                include={
                    "length",
                    "label_weight",
                    "story_share",
                    "story_length",
                    "pure_story_share",
                    "sharpness",
                    "embedding",
                    "network",
                }
            ),
        }

        def train(folder: Path) -> Figures:
            return self._train_network(folder, labelled, short_texts)

        return self._folders.run("general", depends, train, "network")

    def publish(self) -> keras.Model:
        """Return the network for publication: calibrated, with 8-bit word vectors and other weights of 16 bits."""
        weights, preprocessing = self.network() / _NETWORK, self.reviews().codec.preprocessing
        return builders.build_published_network(self._settings.published, preprocessing, weights, self._sharpness)

    def history(self) -> History:
        """Return the history of the network's training."""
        return read_history(self.network() / _CHECKPOINT)

    def count_seconds(self) -> float:
        """Return the seconds that all stages took."""
        return sum(read_figures(folder)["seconds"] for folder in self._list_folders().values())

    def describe(self) -> str:
        """Return the section of a card on the stages, Markdown."""
        rows = "\n".join(describe_stage(name, folder) for name, folder in self._list_folders().items())
        start = self._start.manifest
        return f"""\
It started from {start.name} version {start.version}, and learnt from these reviews, from
the phrases of the Stanford Sentiment Treebank (training part), from the pairs of opinions in `training/data/pairs`,
from composed sentences, from ratings and other numbers{self._describe_own_phrases()},
and from {self._settings.sentences:,} sentences and {self._settings.openings:,} beginnings of the reviews as labelled
by a transformer.
The transformer was pretrained elsewhere (SHA-256 of its files `{hash_pretrained(self._transformer_folder)}`) and learnt
from the same short texts. {len(self.reviews().held_out):,} labelled reviews were held out. The logits are multiplied by
{self._sharpness.always:.2f} + {self._sharpness.short:.2f} / (words and marks + 1), and {self._sharpness.shift:.2f} is
added. Both are fitted on these reviews, on the treebank's development sentences and on the pairs for development. So
the calibration errors of the treebank are errors on what it was fitted on; those of the pairs are not.

| stage | time | on | figures |
|---|---|---|---|
{rows}
"""

    def reviews(self) -> Reviews:
        """Return the result of the stage `coded`."""
        return Reviews.open(self.coded(), self._settings.published)

    def _describe_own_phrases(self) -> str:
        count = len(self._own_phrases.judged)
        return f", from {count:,} short texts of the user's own" if count else ""

    def _list_folders(self) -> dict[str, Path]:
        return {"coded": self.coded(), "transformer": self.transformer(), "network": self.network()}

    @cached_property
    def _treebank(self) -> treebank.Treebank:
        return treebank.load(self._trees)

    @cached_property
    def _texts_of_transformer(self) -> ShortTexts:
        return self._collect_texts(self._settings.teaching)

    def _collect_texts(self, settings: ShortTextSettings) -> ShortTexts:
        random = np.random.default_rng(self._settings.seed)
        return collect(settings, self._treebank, self._own_phrases, self._pairs, random)

    @cached_property
    def _sharpness(self) -> Sharpness:
        """The calibration, fitted on texts of every length that the network was not trained on."""
        reviews, folder = self.reviews(), self.network()
        network = builders.build_review_network(self._settings.published, reviews.codec.preprocessing, any_length=True)
        network.load_weights(folder / _NETWORK)
        examples = [example for suite in self._development for example in suite.examples]
        short = Corpus.of(reviews.codec.encode(example.text).ids for example in examples)
        answers = predict(network, short, np.arange(len(short)), reviews.codec.preprocessing)
        lengths = np.concatenate([reviews.corpus.lengths[reviews.held_out], short.lengths])
        return find_sharpness(
            np.concatenate([np.load(folder / _ANSWERS)[reviews.held_out], answers]),
            np.concatenate([reviews.labels[reviews.held_out], [example.is_positive for example in examples]]),
            np.minimum(lengths, self._settings.length),
        )

    def _code(self, folder: Path) -> Figures:
        settings, data, tokeniser = self._settings, self.data, ReadableTokeniser()
        kept, held_out = hold_out(data, settings.published)
        counts = review_coding.count_words(tokeniser, data.take_training_texts(kept))
        short = review_coding.count_words(tokeniser, self._texts_of_transformer.whole)
        rare = settings.short_text_words * _LEAST_USES
        counts += Counter({word: settings.short_text_words * count for word, count in short.items()})
        counts = review_coding.fold_classes(tokeniser, counts, rare)
        words = review_coding.choose_words(tokeniser, counts, settings.vocabulary_size - RESERVED_IDS, settings.endings)
        reviews = Reviews.code(data, settings.published, words, (kept, held_out), self._console)
        reviews.save(folder)
        answers = self._start.answer(data.training_texts, self._console)
        np.save(folder / _ANSWERS, answers)
        return {"reviews": len(reviews.corpus), "words": len(reviews.corpus.ids)} | reviews.measure(answers)

    def _train_transformer(self, folder: Path) -> Figures:
        """Train the transformer, and label sentences with it."""
        settings, seed = self._settings, self._settings.seed
        teacher, judged = Transformer(self._transformer_folder, seed), self._texts_of_transformer
        checkpoint = folder / _CHECKPOINT
        loss = teacher.fit(judged.texts, judged.targets, settings.transformer, seed, checkpoint, self._console)
        reviews, random = self._read_training_texts(), np.random.default_rng(seed)
        texts = take_short(split_sentences(reviews), settings.sentences, random)
        texts += take_openings(reviews, settings.openings, random)
        (folder / _LABELLED).write_text(json.dumps(texts), "utf-8")
        with self._console.status(f"Labelling {len(texts):,} sentences and openings"):
            np.save(folder / _LOGITS, teacher.answer(texts))
        return {"loss": loss} | self._measure(lambda texts: to_probabilities(teacher.answer(texts)))

    def _train_network(self, folder: Path, labelled: Path, short_texts: ShortTexts) -> Figures:
        """Train the network on the reviews, on what the transformer labelled, and on the short texts."""
        reviews, settings = self.reviews(), self._settings
        keras.utils.set_random_seed(settings.seed)
        network = builders.build_review_network(settings.published, reviews.codec.preprocessing, any_length=True)
        self._start.give_weights(network, reviews.codec)
        stories = take_stories(split_sentences(self._read_training_texts()))
        if not stories:
            raise DataError("no sentence of the reviews tells a story; get the whole dataset")
        texts: list[str] = json.loads((labelled / _LABELLED).read_text("utf-8"))
        answers = np.load(self.coded() / _ANSWERS)
        labelled_texts = LabelledTexts(texts, np.load(labelled / _LOGITS))
        mixed, targets = mix(settings, reviews, answers, stories, labelled_texts, short_texts, self._console)
        history, answers = tune(
            network,
            settings.network,
            mixed,
            targets,
            reviews.held_out,
            settings.seed,
            folder / _CHECKPOINT,
            self._console,
        )
        network.save_weights(folder / _NETWORK)
        np.save(folder / _ANSWERS, answers)

        def predict_rows(rows: Sequence[Row]) -> NDArray[np.float32]:
            corpus = Corpus.of(row.astype(np.int32) for row in rows)
            return predict(network, corpus, np.arange(len(corpus)), reviews.codec.preprocessing)[:, np.newaxis]

        answer = make_answer(reviews.codec, predict_rows)
        return {"loss": history["loss"][-1]} | mixed.measure(answers) | self._measure(answer)

    def _read_training_texts(self) -> list[str]:
        """Return the reviews that are not held out."""
        kept, _ = hold_out(self.data, self._settings.published)
        return self.data.take_training_texts(kept)

    @property
    def _development(self) -> tuple[Suite, ...]:
        return (*self.suites, self._development_pairs)

    def _measure(self, answer: Answer) -> Figures:
        """Return a classifier's figures on the short texts for development."""
        figures: Figures = {}
        for suite in self._development:
            found = measure_suite(suite, answer)
            names = (suite.name, f"{suite.name}, both of a pair")
            figures |= {name: found[name] for name in names if name in found}
        return figures
