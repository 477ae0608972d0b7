"""What is pooled step by step and what is not; the answers have to be the same either way."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers, ops

from app.pooling import find_pools
from app.recurrence import rewrite

STEPS, UNITS = 6, 3

Build = Callable[[keras.KerasTensor], keras.KerasTensor]


def states(inputs: keras.KerasTensor, **options: object) -> keras.KerasTensor:
    return layers.LSTM(UNITS, return_sequences=True, bias_initializer="normal", **options)(inputs)


def both_ways(inputs: keras.KerasTensor, mode: str = "concat", masked: bool = False) -> keras.KerasTensor:
    lstm = layers.LSTM(UNITS, return_sequences=True, bias_initializer="normal")
    return layers.Bidirectional(lstm, merge_mode=mode)(inputs, mask=is_present(inputs) if masked else None)


def is_present(inputs: keras.KerasTensor) -> keras.KerasTensor:
    return ops.any(ops.not_equal(inputs, 0), axis=-1)


def weigh(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Return one weight a step, which padding has too."""
    return ops.subtract(ops.expand_dims(ops.cast(ops.not_equal(inputs, 0), "float32"), -1), 0.25)


def attend(inputs: keras.KerasTensor) -> keras.KerasTensor:
    found = states(inputs)
    return ops.sum(found * ops.softmax(found, axis=1), axis=1)


# With what is pooled of them.
POOLED: dict[str, tuple[Build, list[str]]] = {
    "sum": (lambda inputs: ops.sum(states(inputs), axis=1), ["sum"]),
    "mean": (lambda inputs: ops.mean(both_ways(inputs), axis=1), ["mean"]),
    "max": (lambda inputs: ops.max(both_ways(inputs), axis=1), ["max"]),
    "masked mean": (lambda inputs: ops.mean(both_ways(inputs, masked=True), axis=1), ["mean"]),
    "masked max": (lambda inputs: ops.max(both_ways(inputs, masked=True), axis=1), ["max"]),
    "mean and max": (
        lambda inputs: ops.mean(found := both_ways(inputs), axis=1) + ops.max(found, axis=1),
        ["mean", "max"],
    ),
    "pooling layers": (
        lambda inputs: layers.GlobalAveragePooling1D()(found := both_ways(inputs)) + layers.GlobalMaxPooling1D()(found),
        ["mean", "max"],
    ),
    "computed of every step": (
        lambda inputs: ops.max(ops.negative(ops.maximum(states(inputs), 0.1)) * 2, axis=1),
        ["max"],
    ),
    "a weight a step": (
        lambda inputs: ops.sum(both_ways(inputs[..., :1]) * weigh(inputs[..., 0]), axis=1),
        [],
    ),
    "a weight a feature": (lambda inputs: ops.sum(states(inputs) * np.arange(3, dtype=np.float32), axis=1), ["sum"]),
    "numbers of another type": (lambda inputs: ops.sum(states(inputs) * np.arange(3.0), axis=1), ["sum"]),
    "all steps needed too": (
        lambda inputs: layers.Flatten()(found := states(inputs))[:, :UNITS] + ops.sum(found, axis=1),
        ["sum"],
    ),
    "a weight a feature of both ways": (lambda inputs: ops.sum(both_ways(inputs) * np.arange(6.0), axis=1), []),
    "a weight for every step": (
        lambda inputs: ops.sum(states(inputs) * np.arange(6.0)[:, np.newaxis], axis=1),
        [],
    ),
    "other merging": (lambda inputs: ops.max(both_ways(inputs, "sum"), axis=1), []),
    "attention": (attend, []),
    "of two layers": (lambda inputs: ops.sum(states(inputs) * states(inputs), axis=1), []),
    "over features": (lambda inputs: ops.sum(states(inputs), axis=2), []),
    "with dimensions kept": (lambda inputs: ops.sum(states(inputs), axis=1, keepdims=True)[:, 0], []),
    "masked average": (
        lambda inputs: layers.GlobalAveragePooling1D()(states(inputs), mask=is_present(inputs)),
        [],
    ),
    "channels first": (lambda inputs: layers.GlobalMaxPooling1D(data_format="channels_first")(states(inputs)), []),
    "inputs alone": (lambda inputs: ops.sum(inputs, axis=1) + states(inputs)[:, -1, :2], []),
}


@pytest.mark.parametrize("kind", POOLED)
def test_what_is_pooled_of_the_outputs_of_an_lstm_is_found_and_the_answers_stay(kind: str) -> None:
    build, expected = POOLED[kind]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, 2))
    network = keras.Model(inputs, build(inputs))
    assert [pool.reduction for pool in find_pools(network)] == expected
    rewritten = rewrite(network, np.zeros((1, STEPS, 2), np.float32))
    rows = np.random.default_rng(0).normal(size=(4, STEPS, 2)).astype(np.float32)
    for row, length in zip(rows, (2, 1, 3, 0), strict=True):
        row[: STEPS - length] = 0
    for batch in (rows, rows[:1], rows[3:]):
        np.testing.assert_allclose(rewritten(batch), network(batch), atol=1e-6)
