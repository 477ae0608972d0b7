import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.letters import LetterCodec
from bundle.reviews import ReviewPreprocessing, WordTokeniser
from bundle.store import Store
from training import networks
from training.recipes import RECIPES, LetterSettings, ReviewSettings

LETTERS = LetterSettings(patterns="all", length=4, units=3, batch_size=1, epochs=1)
REVIEWS = ReviewSettings(tokeniser="words", vocabulary_size=9, length=4, embedding=2, units=3, batch_size=1, epochs=1)
POOLED = REVIEWS.model_copy(update={"pooling": "mean-max", "mask_padding": True})

Number = TypeVar("Number", np.float32, np.int32)


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(1)


def build_letters(settings: LetterSettings, length: int | None = None) -> keras.Model:
    return networks.build_letter_network(
        settings, LetterCodec(length=length or settings.length, first_code=settings.first_code)
    )


def build_reviews(settings: ReviewSettings, length: int | None = None) -> keras.Model:
    return networks.build_review_network(
        settings,
        ReviewPreprocessing(
            tokeniser=WordTokeniser(), vocabulary_size=settings.vocabulary_size, length=length or settings.length
        ),
    )


def answer(network: keras.Model, inputs: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.float32]:
    outputs: NDArray[np.float32] = keras.ops.convert_to_numpy(network(inputs, training=False))
    return outputs


def pad(rows: NDArray[Number], count: int) -> NDArray[Number]:
    """Add this many time steps of padding on the left."""
    return np.pad(rows, [(0, 0), (count, 0), *[(0, 0)] * (rows.ndim - 2)])


def randomise(*networks: keras.Model) -> None:
    """Give networks the same weights, so large that what makes a difference makes a large one."""
    weights = [np.random.default_rng(1).normal(size=weight.shape) for weight in networks[0].get_weights()]
    for network in networks:
        network.set_weights(weights)


def count_lstm(units: int, features: int) -> int:
    return 4 * (units * (units + features) + units)


@pytest.mark.parametrize("features", [0, 5])
def test_a_letter_network_gives_the_probability_of_every_letter(features: int) -> None:
    network = build_letters(LETTERS.model_copy(update={"features": features}))
    assert network.input_shape == (None, 4, 1)
    assert network.inputs[0].dtype == "float32"
    outputs = answer(network, np.random.default_rng(1).random((3, 4, 1), np.float32))
    assert outputs.shape == (3, 26)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    assert (outputs > 0).all()


@pytest.mark.parametrize("settings", [REVIEWS, POOLED, POOLED.model_copy(update={"bidirectional": True})])
def test_a_review_network_gives_one_probability(settings: ReviewSettings) -> None:
    network = build_reviews(settings)
    assert network.input_shape == (None, 4)
    assert network.inputs[0].dtype == "int32"
    outputs = answer(network, np.array([[0, 0, 1, 5], [8, 7, 6, 2]], np.int32))
    assert outputs.shape == (2, 1)
    assert outputs.dtype == np.float32
    assert ((outputs > 0) & (outputs < 1)).all()


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        (RECIPES["alphabet-variable-length"].settings, count_lstm(32, 1) + 33 * 26),
        (LETTERS, count_lstm(3, 1) + 4 * 26),
        (LETTERS.model_copy(update={"features": 5}), 2 * 5 + count_lstm(3, 5) + 4 * 26),
    ],
)
def test_a_letter_network_has_the_parameters_of_its_layers(settings: LetterSettings, parameters: int) -> None:
    network = build_letters(settings)
    assert network.count_params() == parameters
    assert network.non_trainable_weights == []


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        (RECIPES["imdb-500"].settings, 10_000 * 32 + count_lstm(32, 32) + 33),
        (REVIEWS, 9 * 2 + count_lstm(3, 2) + 4),
        (POOLED, 9 * 2 + count_lstm(3, 2) + 2 * 3 + 1),
        (POOLED.model_copy(update={"bidirectional": True}), 9 * 2 + 2 * count_lstm(3, 2) + 2 * 2 * 3 + 1),
    ],
)
def test_a_review_network_has_the_parameters_of_its_layers(settings: ReviewSettings, parameters: int) -> None:
    network = build_reviews(settings)
    assert network.count_params() == parameters
    assert network.non_trainable_weights == []


@pytest.mark.parametrize("features", [0, 5])
@pytest.mark.parametrize("masked", [True, False])
def test_padding_does_not_matter_to_a_letter_network_that_masks_it(features: int, masked: bool) -> None:
    settings = LETTERS.model_copy(update={"features": features, "mask_padding": masked})
    short, long = build_letters(settings, length=3), build_letters(settings, length=6)
    randomise(short, long)
    inputs = np.array([[[0], [0.1], [1]], [[0.2], [0.9], [0.5]]], np.float32)
    assert np.allclose(answer(short, inputs), answer(long, pad(inputs, 3)), atol=1e-6) == masked


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        ({"mask_padding": False}, True),
        ({"mask_padding": True}, False),
        ({"mask_padding": True, "bidirectional": True}, False),
        ({"mask_padding": True, "pooling": "mean-max"}, False),
        ({"mask_padding": True, "pooling": "mean-max", "bidirectional": True}, False),
    ],
)
def test_padding_does_not_matter_to_a_review_network_that_masks_it(changes: dict[str, object], matters: bool) -> None:
    settings = REVIEWS.model_copy(update=changes)
    short, long = build_reviews(settings, length=3), build_reviews(settings, length=6)
    randomise(short, long)
    inputs = np.array([[0, 1, 5], [8, 7, 6]], np.int32)
    assert np.allclose(answer(short, inputs), answer(long, pad(inputs, 3)), atol=1e-6) != matters


@pytest.mark.parametrize("sign", [1, -1])
def test_mean_and_maximum_are_over_the_words(sign: int) -> None:
    network = build_reviews(POOLED)
    network.set_weights([sign * np.abs(weight) if weight.ndim > 1 else weight for weight in network.get_weights()])
    lstm = next(layer for layer in network.layers if isinstance(layer, keras.layers.LSTM))
    states = answer(keras.Model(network.input, lstm.output), np.array([[0, 1, 5, 8]], np.int32))[0, 1:]
    pooled = np.concatenate([states.mean(axis=0), states.max(axis=0)])
    kernel, bias = network.layers[-1].get_weights()
    expected = 1 / (1 + np.exp(-(pooled @ kernel + bias)))
    np.testing.assert_allclose(answer(network, np.array([[0, 1, 5, 8]], np.int32))[0], expected, rtol=1e-5)


@pytest.mark.parametrize("field", ["embedding_dropout", "output_dropout"])
def test_dropout_works_only_while_training(field: str) -> None:
    network = build_reviews(REVIEWS.model_copy(update={field: 0.5, "units": 32, "embedding": 32}))
    inputs = np.array([[5, 6, 7, 8]], np.int32)
    assert (answer(network, inputs) == answer(network, inputs)).all()
    trained = [float(network(inputs, training=True)[0, 0]) for _ in range(5)]
    assert len(set(trained)) > 1


@pytest.fixture
def echo() -> keras.Model:
    """A network that answers with its inputs."""
    inputs = keras.Input((1000,), dtype="int32")
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def test_word_dropout_leaves_words_alone_outside_training(echo: keras.Model) -> None:
    ids = np.random.default_rng(1).integers(0, 9, (10, 1000)).astype(np.int32)
    dropping = networks.add_word_dropout(echo, share=0.9, unknown_id=2, seed=1)
    np.testing.assert_array_equal(answer(dropping, ids), ids)


def test_word_dropout_makes_a_share_of_the_words_unknown_and_keeps_padding_and_start(echo: keras.Model) -> None:
    ids = np.random.default_rng(1).integers(0, 9, (10, 1000)).astype(np.int32)
    dropping = networks.add_word_dropout(echo, share=0.3, unknown_id=2, seed=1)
    changed, again = (keras.ops.convert_to_numpy(dropping(ids, training=True)) for _ in range(2))
    assert (changed[ids < 3] == ids[ids < 3]).all()
    words = ids >= 3
    dropped = changed[words] == 2
    assert abs(dropped.mean() - 0.3) < 0.03
    assert (changed[words][~dropped] == ids[words][~dropped]).all()
    assert (changed != again).any()


def test_word_dropout_depends_on_the_seed_alone(echo: keras.Model) -> None:
    def drop(seed: int) -> list[list[int]]:
        dropping = networks.add_word_dropout(echo, share=0.3, unknown_id=2, seed=seed)
        changed: list[list[int]] = dropping(np.full((1, 1000), 5, np.int32), training=True).numpy().tolist()
        return changed

    assert drop(1) == drop(1)
    assert drop(1) != drop(2)


def test_word_dropout_shares_the_weights_of_the_network() -> None:
    network = build_reviews(REVIEWS)
    dropping = networks.add_word_dropout(network, share=0.3, unknown_id=2, seed=1)
    dropping.set_weights([np.ones_like(weight) for weight in dropping.get_weights()])
    assert len(network.trainable_weights) == len(dropping.trainable_weights)
    assert all((weight == 1).all() for weight in network.get_weights())


def test_saved_networks_load_without_this_project(small_store: Store, tmp_path: Path) -> None:
    script = """
import importlib.util, sys, keras
assert importlib.util.find_spec("training") is None, "the package can be imported"
for path in sys.argv[1:]:
    print(keras.saving.load_model(path).count_params())
"""
    bundles = [small_store.open(name) for name in small_store.names()]
    command = [sys.executable, "-I", "-c", script, *(str(bundle.model_path.resolve()) for bundle in bundles)]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    expected = [keras.saving.load_model(bundle.model_path).count_params() for bundle in bundles]
    assert [int(line) for line in output.split()] == expected
    assert len(expected) == len(RECIPES)
