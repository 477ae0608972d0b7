"""Bundles of the task sentiment with labels of their own: random weights, but the real builders, exporter and card."""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from rich.console import Console

from bundle.manifest import Dataset, Description
from bundle.reviews import ReviewCodec, write_vocabulary
from bundle.store import MODEL_FILE, Bundle, Store
from tests.conftest import BAD, GOOD
from training import pipeline, recipes
from training.data import review_coding
from training.data.examples import Examples
from training.export.exported import export
from training.export.rows import make_rows
from training.networks import builders
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.tasks.sentiment import TextData
from training.tasks.trained import Trained

THREE = ("negative", "neither | nor", "very positive")
TWO = ("ham", "spam")
WORDS = [*GOOD, *BAD, "a", "film", "i", "call", "it"]
LENGTH = 20

QUIET = Console(quiet=True)
_TEXTS = 64
DATASET = Dataset(name="random texts", sha256="c" * 64, training_examples=0, test_examples=_TEXTS)


def make_texts(count: int = _TEXTS, seed: int = 3) -> tuple[str, ...]:
    """Return random texts of known words, of 1 word to more than are read."""
    random = np.random.default_rng(seed)
    return tuple(" ".join(random.choice(WORDS, 1 + number % (LENGTH + 4))) for number in range(count))


def make_codec() -> tuple[Recipe, ReviewCodec]:
    """Return the recipe of all these bundles, and their codec."""
    recipe = recipes.find("imdb-500").with_settings(
        ["units=4", "embedding=4", f"length={LENGTH}", "tokeniser=words", "ranks=counted", "mask_padding=true"]
    )
    assert isinstance(recipe.settings, ReviewSettings)
    return recipe, review_coding.make_review_codec(recipe.settings, WORDS)


def build(codec: ReviewCodec, recipe: Recipe, labels: tuple[str, ...], seed: int = 1) -> keras.Model:
    """Return a network of large random weights."""
    assert isinstance(recipe.settings, ReviewSettings)
    keras.utils.set_random_seed(seed)
    network = builders.build_review_network(recipe.settings, codec.preprocessing, labels=labels)
    random = np.random.default_rng(seed)
    network.set_weights([random.normal(0, 1.5, weight.shape) for weight in network.get_weights()])
    return network


def end_with(network: keras.Model, outputs: int, activation: str) -> keras.Model:
    """Return a network with another last layer, of random weights."""
    last = keras.layers.Dense(outputs, activation, kernel_initializer=keras.initializers.RandomNormal(seed=1))
    return keras.Model(network.inputs, last(network.layers[-1].input))


def train(network: keras.Model, codec: ReviewCodec, labels: tuple[str, ...]) -> Trained:
    """Return a network as if it was trained, with examples most of which it answers right."""
    texts = make_texts()
    inputs = review_coding.code_texts(codec, list(texts), "Coding", QUIET)
    answers = network.predict(inputs, verbose=0)
    right = answers[:, 0] >= 0.5 if len(labels) == 2 else answers.argmax(axis=1)
    drawn = np.random.default_rng(1).integers(0, len(labels), len(texts))
    mixed = np.where(np.arange(len(texts)) % 5 == 0, drawn, right).astype(np.int32)
    examples = Examples(inputs, mixed)
    return Trained(network, codec, {}, examples, DATASET, examples, TextData(texts), labels=labels)


def publish(trained: Trained, recipe: Recipe, name: str, store: Store) -> Bundle:
    """Publish a network as training does."""
    with store.stage(name) as staged:
        return pipeline.publish(trained, recipe, name, store, staged, 0, {}, QUIET)


def publish_labelled(store: Store, name: str, labels: tuple[str, ...]) -> Bundle:
    """Publish a network with these labels, whose word vectors have 8 bits."""
    recipe, codec = make_codec()
    assert isinstance(recipe.settings, ReviewSettings)
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "plain.weights.h5"
        build(codec, recipe, labels).save_weights(weights)
        network = builders.build_published_network(recipe.settings, codec.preprocessing, weights, 1.2, labels)
    return publish(train(network, codec, labels), recipe, name, store)


def publish_unchecked(store: Store, name: str, labels: tuple[str, ...], network: keras.Model) -> Bundle:
    """Publish a network as a program would that does not look at its answers."""
    recipe, codec = make_codec()
    with store.stage(name) as staged:
        network.save(staged / MODEL_FILE)
        exported = export(network, codec, staged, make_rows(codec), QUIET)
        write_vocabulary(staged / codec.preprocessing.vocabulary_file, codec.vocabulary)
        description = Description(
            name=name,
            task="sentiment",
            recipe={"name": recipe.name},
            preprocessing=codec.preprocessing,
            labels=labels,
            metrics={},
            dataset=DATASET,
            frameworks={},
            onnx=exported.onnx,
        )
        return store.publish(staged, description)
