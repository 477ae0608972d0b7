from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from app.engines.tensorflow import TensorFlowEngine
from bundle.errors import ManifestError
from bundle.reviews import ReviewPreprocessing
from bundle.store import Bundle, Store
from bundle.tokenisers import WordTokeniser
from tests.app.engines.exactness import check_exactness, lists_of_rows
from tests.bundle.samples import REVIEWS, WORDS, publish, publish_changed, random_rows
from tests.conftest import SMALL_RECIPES, predict_with_keras

TOLERANCE = 1e-5
LENGTH = 40
IDS = len(WORDS) + 4

Load = Callable[[str], TensorFlowEngine]


@pytest.fixture(scope="session")
def load(small_store: Store) -> Load:
    """A function that compiles a network of the small store, each once."""
    return cache(lambda name: TensorFlowEngine(small_store.open(name)))


@pytest.mark.parametrize("name", sorted(SMALL_RECIPES))
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_row_has_the_answer_of_keras_and_the_same_to_the_bit_in_every_batch(
    load: Load, small_store: Store, name: str, data: st.DataObject
) -> None:
    bundle = small_store.open(name)
    rows = data.draw(lists_of_rows(bundle))
    check_exactness(load(name), rows, data)
    np.testing.assert_allclose(load(name).run(rows), predict_with_keras(bundle, rows), rtol=0, atol=TOLERANCE)


def test_every_row_takes_all_steps_and_is_run_alone(load: Load, small_store: Store) -> None:
    engine = load("sentiment")
    (row,) = random_rows(small_store.open("sentiment"), [3])
    assert engine.count_steps(row) == small_store.open("sentiment").codec.length
    assert engine.batch_rows == 1


def save(network: keras.Model, folder: Path) -> Bundle:
    """Publish a network of reviews of at most LENGTH ids."""
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=IDS, length=LENGTH)
    network.save(folder / "network.keras")
    weights = (folder / "network.keras").read_bytes()
    return publish(Store(folder), REVIEWS.model_copy(update={"preprocessing": preprocessing}), weights=weights)


def embed(ids: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Embedding(IDS, 4, embeddings_initializer="normal")(ids)


def mix_steps(ids: keras.KerasTensor) -> keras.KerasTensor:
    mixed = layers.Conv1D(4, 3, padding="same", bias_initializer="normal")(embed(ids))
    return layers.LSTM(4)(mixed)


def attend(ids: keras.KerasTensor) -> keras.KerasTensor:
    states = layers.LSTM(4, return_sequences=True)(embed(ids))
    return keras.ops.sum(states * keras.ops.softmax(states, axis=1), axis=1)


def add_to_as_many_steps_as_units(ids: keras.KerasTensor) -> keras.KerasTensor:
    """Return a sum that Keras takes for one with a bias where it knows that there is one row."""
    mask = keras.ops.not_equal(ids, 0)
    states = layers.LSTM(LENGTH, return_sequences=True)(embed(ids), mask=mask)
    present = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    return keras.ops.max(states * present + -2.0 * (1 - present), axis=1)


@pytest.mark.parametrize(
    "build",
    [
        mix_steps,
        attend,
        add_to_as_many_steps_as_units,
        lambda ids: layers.GRU(4)(embed(ids)),
        lambda ids: layers.SimpleRNN(4, go_backwards=True)(embed(ids)),
    ],
    ids=["convolution", "attention", "as many steps as units", "GRU", "backwards"],
)
def test_networks_that_are_not_exported_are_run(
    tmp_path: Path, build: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((LENGTH,), dtype="int32")
    bundle = save(keras.Model(ids, layers.Dense(1, activation="sigmoid")(build(ids))), tmp_path)
    rows = random_rows(bundle, [1, 2, LENGTH // 2, LENGTH - 1, LENGTH])
    answers = TensorFlowEngine(bundle).run(rows)
    np.testing.assert_allclose(answers, predict_with_keras(bundle, rows), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (2, r"answers with the shape \(1, 2\), its manifest says \(1, 1\); train the bundle again"),
        (1, "answers with NaN or infinity"),
    ],
)
def test_a_network_that_does_not_fit_its_manifest_is_refused(tmp_path: Path, outputs: int, message: str) -> None:
    ids = keras.Input((LENGTH,), dtype="int32")
    network = keras.Model(ids, layers.Dense(outputs)(layers.LSTM(2)(embed(ids))))
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    with pytest.raises(ManifestError, match=message):
        TensorFlowEngine(save(network, tmp_path))


def test_a_network_of_another_length_is_refused(small_store: Store, tmp_path: Path) -> None:
    weights = small_store.open("alphabet-variable-length").model_path.read_bytes()
    bundle = publish_changed(Store(tmp_path), small_store.open("next-letter"), {"model.keras": weights})
    with pytest.raises(ManifestError, match=r"reads rows of the shape \(5, 1\), its manifest says \(26, 1\); train"):
        TensorFlowEngine(bundle)


def test_all_engines_of_a_process_use_as_many_threads(small_store: Store) -> None:
    with pytest.raises(RuntimeError, match="cannot be modified after initialization"):
        TensorFlowEngine(small_store.open("next-letter"), threads=2)
