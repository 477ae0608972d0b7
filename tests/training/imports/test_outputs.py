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


@pytest.mark.parametrize(
    ("after", "labels", "message"),
    [
        ([layers.Dense(1)], "ab", "no probability: if these are logits, pass --logits, which adds the sigmoid"),
        ([layers.Dense(1, "tanh")], "ab", "no probability: if these are logits"),
        ([layers.Dense(3)], "abc", "pass --logits, which adds the softmax"),
        ([layers.Dense(2)], "ab", "pass --logits, which adds the softmax"),
        ([layers.Dense(3, "sigmoid")], "abc", "3 numbers whose sum is .*, not 1: if several labels may hold at once"),
        ([layers.Dense(2, "sigmoid")], "ab", "2 numbers whose sum is .*: if several labels may hold at once"),
        ([layers.Dense(3, "softmax")], "ab", r"has 3 outputs for 2 labels \(a, b\); name a label for each output"),
        ([layers.Dense(1, "sigmoid")], "abc", "has 1 outputs for 3 labels"),
    ],
)
def test_outputs_that_are_no_probabilities_are_refused(
    after: list[layers.Layer], labels: Sequence[str], message: str
) -> None:
    with pytest.raises(ModelImportError, match=message):
        fit_outputs(make_network(*after), CODEC, labels, False)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ([layers.Dense(1, "sigmoid")], "sigmoid"),
        ([layers.Dense(2, "softmax")], "softmax"),
        ([layers.Dense(2), layers.Softmax()], "softmax"),
        ([layers.Dense(2), layers.Activation("softmax")], "softmax"),
    ],
)
def test_probabilities_are_no_logits(after: list[layers.Layer], found: str) -> None:
    with pytest.raises(ModelImportError, match=f"ends with a {found}, so its outputs are no logits"):
        fit_outputs(make_network(*after), CODEC, "ab", True)
