import logging
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.engine import BATCH_SIZES, Engine, load_engine
from bundle.errors import ManifestError
from bundle.store import Bundle, Store
from tests.bundle.samples import random_inputs
from tests.conftest import SMALL_RECIPES, load_network


def steps(bundle: Bundle) -> int:
    return bundle.manifest.preprocessing.length


@pytest.fixture(scope="module")
def engines(load: Callable[[str], Engine]) -> dict[str, Engine]:
    return {name: load(name) for name in SMALL_RECIPES}


@pytest.mark.parametrize("name", SMALL_RECIPES)
@pytest.mark.parametrize("count", [1, 2, BATCH_SIZES[1] + 1, BATCH_SIZES[-1], BATCH_SIZES[-1] + 1])
def test_any_number_of_rows_gives_what_keras_predicts(
    engines: dict[str, Engine], small_store: Store, name: str, count: int
) -> None:
    bundle = small_store.open(name)
    inputs = random_inputs(bundle, [1 + 3 * row % steps(bundle) for row in range(count)])
    outputs = engines[name].run(inputs)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, load_network(bundle.model_path).predict(inputs, verbose=0), atol=1e-5)


@pytest.mark.parametrize(("name", "expected"), [("sentiment", 3), ("imdb-500", 3), ("stacked", 26)])
def test_a_row_takes_its_own_steps_or_all(engines: dict[str, Engine], name: str, expected: int) -> None:
    assert engines[name].steps(np.ones(3, np.int32)) == expected


@pytest.mark.parametrize("name", SMALL_RECIPES)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_an_answer_is_that_of_keras_and_never_depends_on_the_rest_of_its_batch(
    engines: dict[str, Engine], small_store: Store, name: str, data: st.DataObject
) -> None:
    bundle = small_store.open(name)
    lengths = data.draw(st.lists(st.integers(1, steps(bundle)), min_size=2, max_size=BATCH_SIZES[-1]))
    inputs = random_inputs(bundle, lengths, data.draw(st.integers(0, 1000)))
    alone = np.concatenate([engines[name].run(row[np.newaxis]) for row in inputs])
    outputs = engines[name].run(inputs)
    np.testing.assert_allclose(outputs, alone, atol=1e-6)
    np.testing.assert_allclose(outputs, load_network(bundle.model_path).predict(inputs, verbose=0), atol=1e-5)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_what_xla_compiles_is_the_same_for_every_input(
    engines: dict[str, Engine], small_store: Store, name: str, count: int
) -> None:
    # An input that XLA has to know to compile, such as the place of a slice, is compiled for at every new value.
    function = tf.function(lambda inputs: engines[name]._network(inputs, training=False), jit_compile=True)
    programs = []
    for length in (1, 3):
        inputs = tf.constant(random_inputs(small_store.open(name), [length] * count))
        program = function.experimental_get_compiler_ir(inputs)(stage="hlo_no_metadata")
        # Without names and order, as TensorFlow may take either of two equal constants.
        programs.append(sorted(re.sub(r"%[\w.-]+", "%", program).splitlines()))
    assert programs[0] == programs[1]


@pytest.mark.parametrize(("length", "outputs"), [(25, 26), (26, 2)])
def test_a_network_of_another_shape_is_refused(small_store: Store, length: int, outputs: int) -> None:
    padding = np.zeros((1, length, 1), np.float32)
    with pytest.raises(ManifestError, match=r"maps \(None, 26, 1\) to \(None, 26\), its manifest says"):
        Engine(small_store.open("next-letter").model_path, padding, padding + 1, outputs)


def save(network: keras.Model, folder: Path) -> Path:
    network.save(folder / "model.keras")
    return folder / "model.keras"


def test_a_network_that_mixes_steps_before_its_lstm_is_run_at_its_whole_length(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((40,), dtype="int32")
    words = keras.layers.Embedding(20, 4, embeddings_initializer="normal")(ids)
    mixed = keras.layers.Conv1D(4, 3, padding="same", use_bias=True, bias_initializer="normal")(words)
    path = save(keras.Model(ids, keras.layers.Dense(1)(keras.layers.LSTM(4)(mixed))), tmp_path)
    padding, example = np.zeros((1, 40), np.int32), 1 + np.arange(40, dtype=np.int32)[np.newaxis] % 19
    with caplog.at_level(logging.WARNING, "app"):
        engine = Engine(path, padding, example, 1)
    assert "its layers mix steps" in caplog.text
    inputs = np.where(np.arange(40) < 30, 0, example)
    np.testing.assert_allclose(engine.run(inputs), keras.saving.load_model(path)(inputs), atol=1e-6)


def pool_by_adding(length: int, units: int) -> keras.Model:
    """A network whose additions Keras takes for those of a bias where a batch or its steps are as many as the units."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((length,), dtype="int32")
    mask = keras.ops.not_equal(ids, 0)
    states = keras.layers.LSTM(units, return_sequences=True)(keras.layers.Embedding(20, 4)(ids), mask=mask)
    present = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    pooled = keras.ops.max(states * present + -2.0 * (1 - present), axis=1)
    return keras.Model(ids, keras.layers.Dense(1)(pooled))


def test_every_program_is_compared_with_keras(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = pool_by_adding(length=40, units=BATCH_SIZES[-1])
    padding, example = np.zeros((1, 40), np.int32), 1 + np.arange(40, dtype=np.int32)[np.newaxis] % 19
    engine = Engine(save(network, tmp_path), padding, example, 1)
    assert "runs every step of the padding" in caplog.text
    rows = np.where(np.arange(40) < np.arange(0, 40, 40 // BATCH_SIZES[-1])[:, np.newaxis], 0, example)
    np.testing.assert_allclose(engine.run(rows), network.predict(rows, verbose=0), atol=1e-6)


def test_a_network_that_is_compiled_to_other_answers_is_refused(tmp_path: Path) -> None:
    padding, example = np.zeros((1, 40), np.int32), 1 + np.arange(40, dtype=np.int32)[np.newaxis] % 19
    with pytest.raises(ManifestError, match="answers otherwise than Keras when it is compiled"):
        Engine(save(pool_by_adding(length=40, units=40), tmp_path), padding, example, 1)


def test_a_short_network_is_compared_with_keras_too(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.TOLERANCE", -1)  # as if it differed
    with pytest.raises(ManifestError, match="answers otherwise than Keras when it is compiled"):
        load_engine(small_store.open("next-letter"))


@pytest.mark.parametrize("padded", [True, False])
def test_rows_with_and_without_padding_are_compared(
    small_store: Store, monkeypatch: pytest.MonkeyPatch, padded: bool
) -> None:
    """A program that answers otherwise only with rows that are all padded, or only with one that is not, is found."""
    bundle = small_store.open("sentiment")
    run_part = Engine._run_part

    def answer(engine: Engine, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        is_padded = not inputs[:, 0].any() and len(inputs) > 1
        return run_part(engine, inputs) + np.float32(0.1 * (is_padded == padded))

    monkeypatch.setattr(Engine, "_run_part", answer)
    with pytest.raises(ManifestError, match="answers otherwise than Keras when it is compiled"):
        load_engine(bundle)


def test_a_network_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    steps = keras.Input((4, 1))
    network = keras.Model(steps, keras.layers.LSTM(2)(steps))
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    padding = np.zeros((1, 4, 1), np.float32)
    with pytest.raises(ManifestError, match="NaN or infinity"):
        Engine(save(network, tmp_path), padding, padding + 1, 2)


def test_all_engines_of_a_process_use_as_many_threads(small_store: Store) -> None:
    with pytest.raises(RuntimeError, match="cannot be modified after initialization"):
        load_engine(small_store.open("next-letter"), threads=2)
