import keras
import numpy as np
import pytest

from app.engine import BATCH_SIZES, Engine
from bundle.errors import ManifestError
from bundle.letters import LetterCodec
from bundle.store import Store


@pytest.fixture(scope="module")
def engine(small_store: Store) -> Engine:
    return Engine(small_store.open("next-letter").model_path, np.zeros((1, 26, 1), np.float32), outputs=26)


@pytest.mark.parametrize("rows", [1, 2, BATCH_SIZES[-1], BATCH_SIZES[-1] + 1])
def test_any_number_of_rows_gives_what_keras_predicts(engine: Engine, small_store: Store, rows: int) -> None:
    bundle = small_store.open("next-letter")
    assert isinstance(bundle.codec, LetterCodec)
    inputs = bundle.codec.pad([bundle.codec.encode("ABCDEFGH"[: 1 + row % 8]) for row in range(rows)])
    outputs = engine.run(inputs)
    assert outputs.dtype == np.float32 and outputs.shape == (rows, 26)
    expected = keras.saving.load_model(bundle.model_path).predict(inputs, verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_a_row_does_not_depend_on_the_others(engine: Engine) -> None:
    inputs = np.random.default_rng(0).random((BATCH_SIZES[-1], 26, 1), np.float32)
    alone = np.concatenate([engine.run(inputs[row : row + 1]) for row in range(len(inputs))])
    np.testing.assert_allclose(engine.run(inputs), alone, atol=1e-6)


@pytest.mark.parametrize(("steps", "outputs"), [(25, 26), (26, 2)])
def test_a_network_of_another_shape_is_refused(small_store: Store, steps: int, outputs: int) -> None:
    with pytest.raises(ManifestError, match=r"maps \(None, 26, 1\) to \(None, 26\), its manifest says"):
        Engine(small_store.open("next-letter").model_path, np.zeros((1, steps, 1), np.float32), outputs)
