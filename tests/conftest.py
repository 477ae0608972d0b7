"""What several packages' tests stand on: a small dataset, and a store of small bundles trained on it."""

import os
from pathlib import Path

import pytest
from rich.console import Console

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported

from bundle.store import Store
from training import recipes
from training.pipeline import train

GOOD = ("wonderful", "tender", "great", "moving", "brilliant")
BAD = ("awful", "boring", "poor", "dreadful", "lazy")


def write_reviews(folder: Path, per_label: int = 12) -> Path:
    """Write a dataset in the layout of the original: the words of a review tell its label."""
    for split in ("train", "test"):
        for label, stars, words in (("pos", 9, GOOD), ("neg", 2, BAD)):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(per_label):
                text = f"A {words[number % 5]} film.<br /><br />I call it {words[(number + 1) % 5]}!"
                (place / f"{number}_{stars}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small dataset."""
    return write_reviews(tmp_path_factory.mktemp("data") / "aclImdb")


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Store:
    """A store with one bundle of each recipe, trained briefly and with small networks."""
    store = Store(tmp_path_factory.mktemp("models"))
    small = {
        "next-letter": ["units=8", "features=8", "epochs=1", "short_run_copies=1"],
        "alphabet-variable-length": ["units=4", "epochs=1", "examples=50", "batch_size=10", "steps_per_call=1"],
        "sentiment": ["units=4", "embedding=4", "epochs=2", "length=12", "batch_size=4"],
        "imdb-500": ["units=4", "embedding=4", "epochs=1", "length=16", "batch_size=4"],
    }
    for name, assignments in small.items():
        recipe = recipes.find(name).with_settings(assignments)
        train(recipe, store, reviews, Console(quiet=True))
    return store
