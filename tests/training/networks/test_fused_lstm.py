"""The layer in a process of its own on PyTorch, against the layer of Keras here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.commands.command import ROOT
from training.networks.fused_lstm import FusedLSTM, multiply

UNITS, STEPS, FEATURES = 6, 9, 5

# Writes answers and gradients of what is in one file to another.
ON_PYTORCH = f"""
import contextlib, sys
import keras, numpy as np, torch
from keras import layers, ops
from training.networks import fused_lstm

given = dict(np.load(sys.argv[1]))
products = fused_lstm.narrow_products() if sys.argv[3] == "narrow" else contextlib.nullcontext()
inputs = torch.tensor(given.pop("inputs"), requires_grad=True)
mask = ops.convert_to_tensor(given.pop("mask"))
aims = ops.convert_to_tensor(given.pop("aims"))
layer, of_last = (layers.Bidirectional(fused_lstm.FusedLSTM({UNITS}, return_sequences=all)) for all in (True, False))
for each in (layer, of_last):
    each.build(inputs.shape)
    each.set_weights(list(given.values()))
with products:
    with torch.no_grad():
        found = dict(answers=layer(inputs, mask=mask), unmasked=layer(inputs), last=of_last(inputs, mask=mask))
    (layer(inputs, mask=mask) * aims).sum().backward()
found["of_inputs"] = inputs.grad
found |= {{f"of_{{k}}": weight.value.grad for k, weight in enumerate(layer.trainable_variables)}}
np.savez(sys.argv[2], **{{name: ops.convert_to_numpy(value) for name, value in found.items()}})
"""


@pytest.fixture(scope="module")
def case() -> dict[str, np.ndarray]:
    """Rows with and without padding on the left, one of a single step, and what their outputs are multiplied with."""
    random = np.random.default_rng(7)
    shapes = [(FEATURES, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)] * 2
    found = {f"weight_{k}": random.normal(scale=0.5, size=shape) for k, shape in enumerate(shapes)}
    found["inputs"] = random.normal(size=(4, STEPS, FEATURES))
    found["aims"] = random.normal(size=(4, STEPS, 2 * UNITS))
    arrays = {name: values.astype(np.float32) for name, values in found.items()}
    return arrays | {"mask": np.arange(STEPS) >= np.array([[3], [0], [STEPS - 1], [1]])}


def make_layer(case: dict[str, np.ndarray]) -> keras.layers.Layer:
    layer = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, use_cudnn=False, return_sequences=True))
    layer.build(case["inputs"].shape)
    layer.set_weights([values for name, values in case.items() if name.startswith("weight")])
    return layer


@pytest.mark.parametrize(("products", "tolerance"), [("wide", 1e-5), ("narrow", 0.05)])
def test_answers_and_gradients_are_those_of_keras(
    case: dict[str, np.ndarray], tmp_path: Path, products: str, tolerance: float
) -> None:
    pytest.importorskip("torch")
    arrays: dict[str, Any] = dict(case)
    np.savez(tmp_path / "given.npz", **arrays)
    command: list[str | Path] = [
        sys.executable,
        "-c",
        ON_PYTORCH,
        tmp_path / "given.npz",
        tmp_path / "found.npz",
        products,
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"KERAS_BACKEND": "torch"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    found = np.load(tmp_path / "found.npz")

    layer, mask = make_layer(case), case["mask"]
    inputs = tf.constant(case["inputs"])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        answers = layer(inputs, mask=mask)
        value = tf.reduce_sum(answers * case["aims"])
    expected = tape.gradient(value, [inputs, *(weight.value for weight in layer.trainable_variables)])
    np.testing.assert_allclose(found["answers"], answers, atol=tolerance)
    np.testing.assert_allclose(found["unmasked"], layer(inputs), atol=tolerance)
    # The last outputs of the LSTM that reads backwards are those of the first words.
    first = answers.numpy()[np.arange(len(mask)), mask.argmax(axis=1)]
    last = np.concatenate([answers[:, -1, :UNITS], first[:, UNITS:]], axis=1)
    np.testing.assert_allclose(found["last"], last, atol=tolerance)
    for name, gradient in zip(["inputs", *range(6)], expected, strict=True):
        np.testing.assert_allclose(found[f"of_{name}"], gradient, atol=tolerance * np.abs(gradient).max())


def test_elsewhere_it_is_the_layer_of_keras(case: dict[str, np.ndarray]) -> None:
    layer, plain = FusedLSTM(UNITS), keras.layers.LSTM(UNITS)
    for each in (layer, plain):
        each.build(case["inputs"].shape)
    layer.set_weights(plain.get_weights())
    np.testing.assert_array_equal(layer(case["inputs"], mask=case["mask"]), plain(case["inputs"], mask=case["mask"]))
    left, right = case["inputs"][0], case["weight_0"]
    np.testing.assert_allclose(multiply(left, right), left @ right, rtol=1e-5)
