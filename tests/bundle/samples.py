"""Descriptions of bundles, a way to publish them, which never looks into the network's file, and random inputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset, Description
from bundle.reviews import ReviewPreprocessing, WordTokeniser
from bundle.store import MODEL_FILE, Bundle, Store, write_vocabulary

FRAMEWORKS = {"python": "3.11.7", "keras": "3.15.1"}
WORDS = ("good", "bad", "film")

LETTERS = Description(
    name="letters",
    task="next-letter",
    recipe={"name": "letters", "settings": {"units": 8, "learning_rate": 1e-3, "patience": None, "seed": 7}},
    preprocessing=LetterCodec(length=5, first_code=1),
    labels=tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    metrics={"accuracy": 0.75, "loss": 1.5},
    dataset=Dataset(name="alphabet", sha256="a" * 64, training_examples=26, test_examples=26),
    frameworks=FRAMEWORKS,
)
REVIEWS = Description(
    name="reviews",
    task="sentiment",
    recipe={"name": "reviews", "settings": {"units": 4}},
    preprocessing=ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=len(WORDS) + 4, length=6),
    labels=("negative", "positive"),
    metrics={"accuracy": 0.5, "loss": 0.7, "auc": 0.5},
    dataset=Dataset(name="films", sha256="b" * 64, training_examples=24, test_examples=24),
    frameworks=FRAMEWORKS,
)


def publish(store: Store, description: Description, version: int | None = None, weights: bytes = b"weights") -> Bundle:
    """Publish a bundle with these weights and, where the task needs one, a vocabulary."""
    with store.stage(description.name) as folder:
        (folder / MODEL_FILE).write_bytes(weights)
        if isinstance(description.preprocessing, ReviewPreprocessing):
            write_vocabulary(folder / description.preprocessing.vocabulary_file, WORDS)
        return store.publish(folder, description, version)


def random_inputs(bundle: Bundle, lengths: Sequence[int], seed: int = 0) -> NDArray[np.generic]:
    """Return the padded inputs of random texts of these lengths, of letters or of word ids."""
    random = np.random.default_rng(seed)
    if isinstance(bundle.codec, LetterCodec):
        texts = ["".join(random.choice(list(ALPHABET), max(1, length))) for length in lengths]
        return bundle.codec.pad([bundle.codec.encode(text) for text in texts])
    ids = [random.integers(0, bundle.codec.preprocessing.vocabulary_size, length, np.int32) for length in lengths]
    return bundle.codec.pad(ids)
