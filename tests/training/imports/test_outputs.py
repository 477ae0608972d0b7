from collections.abc import Sequence

import keras
import numpy as np
import pytest
from keras import layers

from bundle.imported_tokenisers import WhitespaceTokeniser
from bundle.reviews import ReviewCodec, WordCoding
from training.errors import ModelImportError
from training.imports.outputs import fit_outputs

CODEC = ReviewCodec(
    WordCoding(
        tokeniser=WhitespaceTokeniser(lower=True),
        words=5,
        length=6,
        padding_id=0,
        start_id=None,
        unknown_id=1,
        rank_offset=1,
        padding_side="right",
        truncation_side="right",
    ),
    tuple("abcde"),
)
ROWS = np.random.default_rng(0).integers(0, 7, (4, 6))


def make_network(*after: layers.Layer, steps: int | None = 6) -> keras.Model:
    """Return a network with weights that make every output extreme."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((steps,)), layers.Embedding(7, 4), layers.LSTM(3), *after])
    for weight in network.weights:
        weight.assign(3 * np.random.default_rng(1).normal(size=weight.shape))
    network.weights[-1].assign(-3 * np.ones(network.weights[-1].shape))
    return network


@pytest.mark.parametrize("steps", [6, None])
def test_one_probability_stays_as_it_is(steps: int | None) -> None:
    network = make_network(layers.Dense(1, "sigmoid"), steps=steps)
    fitted = fit_outputs(network, CODEC, ("no", "yes"), False)
    assert fitted.input_shape == (None, 6) and fitted.inputs[0].dtype == "int32"
    np.testing.assert_allclose(fitted.predict(ROWS), network.predict(ROWS), atol=1e-7)


def test_two_outputs_become_the_probability_of_the_second() -> None:
    network = make_network(layers.Dense(2, "softmax"))
    fitted = fit_outputs(network, CODEC, ("no", "yes"), False)
    np.testing.assert_allclose(fitted.predict(ROWS), network.predict(ROWS)[:, 1:], atol=1e-7)


def test_three_outputs_are_those_of_three_labels() -> None:
    network = make_network(layers.Dense(3), layers.Softmax())
    fitted = fit_outputs(network, CODEC, ("no", "perhaps", "yes"), False)
    np.testing.assert_allclose(fitted.predict(ROWS), network.predict(ROWS), atol=1e-7)


@pytest.mark.parametrize(("outputs", "labels"), [(1, "ab"), (2, "ab"), (3, "abc")])
def test_logits_get_their_activation(outputs: int, labels: Sequence[str]) -> None:
    network = make_network(layers.Dense(outputs))
    found = fit_outputs(network, CODEC, labels, True).predict(ROWS)
    logits = network.predict(ROWS)
    expected = 1 / (1 + np.exp(-logits)) if outputs == 1 else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected[:, -found.shape[1] :], atol=1e-6)
    assert found.shape[1] == (1 if outputs < 3 else 3)


def give(network: keras.Model, answer: float) -> keras.Model:
    """Return a network whose last layer gives a number for every row before its activation."""
    kernel, bias = network.weights[-2:]
    kernel.assign(0 * kernel)
    bias.assign(0 * bias + answer)
    return network


@pytest.mark.parametrize(
    ("after", "labels", "message"),
    [
        (
            [layers.Dense(1)],
            "ab",
            r"ends with the layer .* \(Dense\), without an activation.* pass --logits, .* sigmoid",
        ),
        (
            [layers.Dense(1, "relu")],
            "ab",
            "the activation relu, so its outputs are no probabilities: end it with a Den",
        ),
        ([layers.Dense(1, "tanh")], "ab", "with the activation tanh, .*: end it with a Dense layer .* of sigmoid"),
        ([layers.Dense(1, "softmax")], "ab", "a softmax of one output is always 1: train it with a sigmoid"),
        ([layers.Dense(1, "tanh"), layers.Flatten()], "ab", "with the activation tanh"),
        (
            [layers.Dense(1, "sigmoid"), layers.BatchNormalization()],
            "ab",
            r"\(BatchNormalization\), so its outputs are",
        ),
        ([layers.Dense(3)], "abc", "pass --logits, which adds the softmax"),
        ([layers.Dense(2)], "ab", "pass --logits, which adds the softmax"),
        ([layers.Dense(3, "sigmoid")], "abc", "with the activation sigmoid, .*: if several labels may hold at once"),
        ([layers.Dense(2, "sigmoid")], "ab", "with the activation sigmoid, .*: if several labels may hold at once"),
        ([layers.Dense(3, "softmax")], "ab", r"has 3 outputs for 2 labels \(a, b\); name a label for each output"),
        ([layers.Dense(1, "sigmoid")], "abc", "has 1 output for 3 labels"),
    ],
)
def test_ends_that_give_no_probabilities_are_refused(
    after: list[layers.Layer], labels: Sequence[str], message: str
) -> None:
    network = give(make_network(*after), 0.4)  # a number that looks like a probability
    with pytest.raises(ModelImportError, match=message):
        fit_outputs(network, CODEC, labels, False)


def test_answers_are_tried_too() -> None:
    with pytest.raises(ModelImportError, match="answers with NaN or infinity, although it ends with probabilities"):
        fit_outputs(give(make_network(layers.Dense(1, "sigmoid")), np.nan), CODEC, "ab", False)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ([layers.Dense(1, "sigmoid")], "activation sigmoid, so its outputs are no logits; leave --logits out"),
        (
            [layers.Dense(1), layers.Activation("sigmoid"), layers.Flatten()],
            "activation sigmoid, so its .* leave --log",
        ),
        ([layers.Dense(2, "softmax")], "activation softmax, so its outputs are no logits; leave --logits out"),
        ([layers.Dense(2), layers.Softmax()], r"\(Softmax\), with the activation softmax, .* leave --logits out"),
        ([layers.Dense(2, "sigmoid")], "activation sigmoid, so its .*; end it with a Dense layer of softmax"),
        ([layers.Dense(1, "tanh")], "activation tanh, so its outputs are no logits; end it with a Dense layer of sigm"),
        ([layers.Dense(1, "relu")], "activation relu, so its outputs are no logits"),
        ([layers.Dense(1), layers.LeakyReLU()], r"\(LeakyReLU\), so its outputs are no logits"),
    ],
)
def test_only_a_linear_end_gives_logits(after: list[layers.Layer], message: str) -> None:
    with pytest.raises(ModelImportError, match=message):
        fit_outputs(make_network(*after), CODEC, "ab", True)
