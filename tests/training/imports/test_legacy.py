"""Whole files as Keras 2 wrote them; `test_keras_file` has its settings one by one."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.training.imports import keras_2
from training.imports.keras_file import read_keras_file


def build() -> keras.Model:
    """Return the same network in the installed Keras."""
    return keras.Sequential(
        [
            keras.Input((keras_2.STEPS,)),
            layers.Embedding(keras_2.WORDS, keras_2.FEATURES, mask_zero=True),
            layers.SpatialDropout1D(0.2),
            layers.Bidirectional(layers.LSTM(keras_2.UNITS, return_sequences=True)),
            layers.LSTM(keras_2.LAST_UNITS),
            layers.Dense(1, "sigmoid"),
        ]
    )


@pytest.mark.parametrize("is_functional", [False, True])
def test_an_h5_file_of_keras_2_has_the_same_answers(tmp_path: Path, is_functional: bool) -> None:
    weights = keras_2.make_weights()
    keras_2.write_h5(tmp_path / "model.h5", weights, is_functional)
    file = read_keras_file(tmp_path / "model.h5")
    assert (file.version, file.writer) == ("2.15.0", "Keras 2.15.0")
    assert (file.vectors, file.steps) == (keras_2.WORDS, keras_2.STEPS)
    expected = build()
    expected.set_weights([weight for of_layer in weights.values() for weight in of_layer.values()])
    rows: Any = np.random.default_rng(1).integers(0, keras_2.WORDS, (5, keras_2.STEPS))
    answers = file.network.predict_on_batch(rows)
    np.testing.assert_allclose(answers, expected.predict_on_batch(rows), atol=1e-6)
    assert np.ptp(answers) > 0.01  # the rows matter
