from collections.abc import Callable
from functools import cache

import pytest

from app.engines.onnx import OnnxEngine
from bundle.manifest import Precision
from bundle.store import Store

LoadOnnx = Callable[[str, Precision], OnnxEngine]


@pytest.fixture(scope="session")
def load_onnx(small_store: Store) -> LoadOnnx:
    """A function that loads a form of a network of the small store, each once."""
    return cache(lambda name, precision: OnnxEngine(small_store.open(name), precision))
