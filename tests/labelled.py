"""Bundles of the task sentiment with labels of their own: random weights, but the real builders, exporter and card."""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from rich.console import Console

from bundle.manifest import Dataset
from bundle.store import Bundle, Store
from tests.conftest import BAD, GOOD
from training import pipeline, recipes
from training.data import review_coding
from training.data.examples import Examples
from training.networks import builders
from training.recipes.reviews import ReviewSettings
from training.tasks.sentiment import TextData
from training.tasks.trained import Trained

THREE = ("negative", "neither | nor", "very positive")
TWO = ("ham", "spam")
WORDS = [*GOOD, *BAD, "a", "film", "i", "call", "it"]
LENGTH = 20

QUIET = Console(quiet=True)
_TEXTS = 64


def make_texts(count: int = _TEXTS, seed: int = 3) -> tuple[str, ...]:
    """Return random texts of known words, of 1 word to more than are read."""
    random = np.random.default_rng(seed)
    return tuple(" ".join(random.choice(WORDS, 1 + number % (LENGTH + 4))) for number in range(count))


def publish_labelled(store: Store, name: str, labels: tuple[str, ...], seed: int = 1) -> Bundle:
    """Publish a network with these labels, whose word vectors have 8 bits; it is right about most of its examples."""
    recipe = recipes.find("imdb-500").with_settings(
        ["units=4", "embedding=4", f"length={LENGTH}", "tokeniser=words", "ranks=counted", "mask_padding=true"]
    )
    settings = recipe.settings
    assert isinstance(settings, ReviewSettings)
    codec = review_coding.make_review_codec(settings, WORDS)
    keras.utils.set_random_seed(seed)
    plain = builders.build_review_network(settings, codec.preprocessing, labels=labels)
    random = np.random.default_rng(seed)
    plain.set_weights([random.normal(0, 1.5, weight.shape) for weight in plain.get_weights()])
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "plain.weights.h5"
        plain.save_weights(weights)
        network = builders.build_published_network(settings, codec.preprocessing, weights, 1.2, labels)
    texts = make_texts()
    inputs = review_coding.code_texts(codec, list(texts), "Coding", QUIET)
    answers = network.predict(inputs, verbose=0)
    right = (answers[:, 0] >= 0.5 if len(labels) == 2 else answers.argmax(axis=1)).astype(np.int32)
    mixed = np.where(np.arange(len(texts)) % 5 == 0, random.integers(0, len(labels), len(texts)), right)
    examples = Examples(inputs, mixed.astype(np.int32))
    dataset = Dataset(name="random texts", sha256="c" * 64, training_examples=0, test_examples=len(texts))
    trained = Trained(network, codec, {}, examples, dataset, examples, TextData(texts), labels=labels)
    with store.stage(name) as staged:
        return pipeline.publish(trained, recipe, name, store, staged, 0, {}, QUIET)
