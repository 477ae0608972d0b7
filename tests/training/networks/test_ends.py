from collections.abc import Sequence

import keras
import pytest
from keras import layers, ops

from training.networks.ends import find_end


def make(*after: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Embedding(7, 4), layers.LSTM(3), *after])


def of_each_step(*after: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((6,)), layers.Embedding(7, 4), *after])


@pytest.mark.parametrize(
    ("after", "activation"),
    [
        ([layers.Dense(1)], "linear"),
        ([layers.Dense(1, "relu")], "relu"),
        ([layers.Dense(1, "tanh")], "tanh"),
        ([layers.Dense(1, "sigmoid")], "sigmoid"),
        ([layers.Dense(2, "softmax")], "softmax"),
        ([layers.Dense(2, layers.Softmax())], "softmax"),
        ([layers.Dense(1, layers.ReLU())], "ReLU"),
        ([layers.Dense(2), layers.Softmax()], "softmax"),
        ([layers.Dense(2), layers.Softmax(axis=0)], "unknown"),
        ([layers.Dense(1), layers.Activation("sigmoid")], "sigmoid"),
        ([layers.Dense(1, "sigmoid"), layers.Activation("linear")], "sigmoid"),
        ([layers.Dense(1), layers.Activation("sigmoid"), layers.Flatten()], "sigmoid"),
        ([layers.Dense(1, "tanh"), layers.Reshape((1,)), layers.Dropout(0.1)], "tanh"),
        ([layers.Dense(1), layers.BatchNormalization()], "linear"),
        ([layers.Dense(1, "sigmoid"), layers.BatchNormalization()], "unknown"),
        ([layers.Dense(1), layers.LeakyReLU()], "unknown"),
        ([], "unknown"),
        ([keras.Sequential([keras.Input((3,)), layers.Dense(1, "sigmoid"), layers.Flatten()])], "sigmoid"),
    ],
)
def test_the_activation_is_found_behind_layers_that_change_nothing(
    after: Sequence[layers.Layer], activation: str
) -> None:
    end = find_end(make(*after))
    assert (end.activation, end.is_known) == (activation, activation != "unknown")


def test_the_activation_of_every_step_is_found() -> None:
    in_time = layers.TimeDistributed(layers.Dense(1, "sigmoid"))
    assert find_end(of_each_step(in_time, layers.GlobalAveragePooling1D())).activation == "sigmoid"
    convolution = layers.Conv1D(1, 6, activation="sigmoid")
    assert find_end(of_each_step(convolution, layers.Flatten())).activation == "sigmoid"


def test_the_ends_of_several_branches_are_joined() -> None:
    ids = keras.Input((6,))
    state = layers.LSTM(3)(layers.Embedding(7, 4)(ids))
    first, second = (layers.Dense(1, "sigmoid")(state) for _ in range(2))
    logits = layers.Dense(1)(state)
    assert find_end(keras.Model(ids, layers.Average()([first, second]))).activation == "sigmoid"
    assert find_end(keras.Model(ids, layers.Average()([first, logits]))).activation == "unknown"
    assert find_end(keras.Model(ids, layers.Add()([logits, layers.Dense(1)(state)]))).activation == "linear"
    assert find_end(keras.Model(ids, layers.Add()([first, second]))).activation == "unknown"


def test_operations_are_found_too() -> None:
    ids = keras.Input((6,))
    logits = layers.Dense(2)(layers.LSTM(3)(layers.Embedding(7, 4)(ids)))
    assert find_end(keras.Model(ids, ops.sigmoid(logits))).activation == "sigmoid"
    assert find_end(keras.Model(ids, ops.softmax(logits))).activation == "softmax"
    assert find_end(keras.Model(ids, ops.exp(logits))).activation == "unknown"


def test_the_end_is_described_for_messages() -> None:
    assert str(find_end(make(layers.Dense(1, name="head")))) == "the layer 'head' (Dense), without an activation"
    tanh = make(layers.Dense(1, "tanh", name="head"), layers.Flatten())
    assert str(find_end(tanh)) == "the layer 'head' (Dense), with the activation tanh"
    assert str(find_end(make(layers.ReLU(name="cut")))) == "the layer 'cut' (ReLU)"


@pytest.mark.parametrize(
    ("activation", "outputs", "expected"),
    [
        ("sigmoid", 1, True),
        ("hard_sigmoid", 1, True),
        ("softmax", 3, True),
        ("softmax", 1, False),  # always 1
        ("sigmoid", 3, False),
        ("linear", 1, False),
        ("tanh", 1, False),
    ],
)
def test_a_sigmoid_gives_one_probability_and_a_softmax_several(activation: str, outputs: int, expected: bool) -> None:
    assert find_end(make(layers.Dense(outputs, activation))).gives_probabilities(outputs) is expected
