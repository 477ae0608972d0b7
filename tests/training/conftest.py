from pathlib import Path

import pytest

from bundle.store import Bundle, Store
from tests.training.films import QUIET, TWO, find_recipe, write
from training import pipeline
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.texts import LabelledTexts
from training.data.sources import Sources


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two labels."""
    return write(tmp_path_factory.mktemp("labelled") / "films.csv", TWO)


@pytest.fixture(scope="session")
def texts(two: Path) -> LabelledTexts:
    return read(two, DataOptions(), 1)


@pytest.fixture(scope="session")
def from_scratch(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that began with random weights."""
    store = Store(tmp_path_factory.mktemp("models"))
    return pipeline.train(find_recipe(), "films", store, Sources(two), QUIET)
