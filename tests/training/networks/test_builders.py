import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.letters import LetterCodec
from bundle.reviews import ReviewPreprocessing
from bundle.store import Store
from bundle.tokenisers import WordTokeniser
from tests import cell
from tests.cell import sigmoid
from tests.conftest import SMALL_RECIPES
from training.evaluation.calibration import Sharpness, to_logits
from training.networks import builders
from training.recipes import RECIPES
from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings

LETTERS = LetterSettings(patterns="all", length=4, units=3, batch_size=1, epochs=1)
UNMASKED = LETTERS.model_copy(update={"mask_padding": False})
STACKED = LETTERS.model_copy(update={"further_units": (2, 5)})
REVIEWS = ReviewSettings(tokeniser="words", vocabulary_size=9, length=4, embedding=2, units=3, batch_size=1, epochs=1)
POOLED = REVIEWS.model_copy(update={"pooling": "mean-max", "mask_padding": True})

Number = TypeVar("Number", np.float32, np.int32)


@pytest.fixture(autouse=True)
def seed() -> None:
    keras.utils.set_random_seed(1)


def build_letters(settings: LetterSettings, length: int | None = None) -> keras.Model:
    return builders.build_letter_network(
        settings,
        LetterCodec(length=length or settings.length, layout=settings.layout, first_code=settings.first_code),
    )


def build_reviews(settings: ReviewSettings, length: int | None = None) -> keras.Model:
    return builders.build_review_network(
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


def find(network: keras.Model, *kinds: type) -> list[keras.layers.Layer]:
    """Return the layers of these kinds, in order."""
    return [layer for layer in network.layers if isinstance(layer, kinds)]


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
        (UNMASKED.model_copy(update={"layout": "features"}), count_lstm(3, 4) + 4 * 26),
        (STACKED, count_lstm(3, 1) + count_lstm(2, 3) + count_lstm(5, 2) + 6 * 26),
        (
            STACKED.model_copy(update={"bidirectional": True}),
            2 * (count_lstm(3, 1) + count_lstm(2, 6) + count_lstm(5, 4)) + 11 * 26,
        ),
        (
            STACKED.model_copy(update={"pooling": "mean-max"}),
            count_lstm(3, 1) + count_lstm(2, 3) + count_lstm(5, 2) + 11 * 26,
        ),
        (LETTERS.model_copy(update={"use_bias": False}), count_lstm(3, 1) - 4 * 3 + 4 * 26),
        (
            STACKED.model_copy(update={"normalisation": "layer"}),
            count_lstm(3, 1) + count_lstm(2, 3) + count_lstm(5, 2) + 2 * (3 + 2 + 5) + 6 * 26,
        ),
        (
            LETTERS.model_copy(update={"input_dropout": 0.5, "recurrent_dropout": 0.5, "output_dropout": 0.5}),
            count_lstm(3, 1) + 4 * 26,
        ),
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
        (REVIEWS.model_copy(update={"further_units": (2,)}), 9 * 2 + count_lstm(3, 2) + count_lstm(2, 3) + 3),
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
        ({"mask_padding": True, "further_units": (2, 4)}, False),
        ({"mask_padding": True, "further_units": (2, 4), "bidirectional": True, "pooling": "mean-max"}, False),
        ({"mask_padding": True, "further_units": (2,), "normalisation": "layer"}, False),
        ({"mask_padding": True, "further_units": (2,), "normalisation": "batch"}, False),
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


@pytest.mark.parametrize("field", ["embedding_dropout", "input_dropout", "recurrent_dropout", "output_dropout"])
def test_dropout_works_only_while_training(field: str) -> None:
    settings = REVIEWS.model_copy(update={"units": 32, "embedding": 32})
    network, without = build_reviews(settings.model_copy(update={field: 0.5})), build_reviews(settings)
    randomise(network, without)
    inputs = np.array([[5, 6, 7, 8]], np.int32)
    np.testing.assert_allclose(answer(network, inputs), answer(without, inputs), atol=1e-6)
    trained = [float(network(inputs, training=True)[0, 0]) for _ in range(5)]
    assert len(set(trained)) > 1


# Inputs of zeros have nothing to drop, nor has the state before the first step.
@pytest.mark.parametrize(
    ("field", "without", "with_something"),
    [("input_dropout", [[0], [0]], [[0], [1]]), ("recurrent_dropout", [[1]], [[1], [1]])],
)
def test_dropout_within_an_lstm_is_that_of_its_inputs_or_of_its_state(
    field: str, without: list[list[int]], with_something: list[list[int]]
) -> None:
    settings = UNMASKED.model_copy(update={field: 0.5, "units": 32})
    for letters, is_varied in ((without, False), (with_something, True)):
        network = build_letters(settings, length=len(letters))
        randomise(network)
        inputs = np.array([letters], np.float32)
        answers = np.concatenate([network(inputs, training=True) for _ in range(6)])
        assert (np.ptp(answers, axis=0).max() > 1e-3) == is_varied


def test_further_layers_lie_on_top_of_one_another() -> None:
    network = build_letters(STACKED)
    lstms = find(network, keras.layers.LSTM)
    assert [lstm.units for lstm in lstms] == [3, 2, 5]
    assert [lstm.output.shape for lstm in lstms] == [(None, 4, 3), (None, 4, 2), (None, 5)]
    inputs = np.random.default_rng(1).random((2, 4, 1), np.float32)
    below = answer(keras.Model(network.input, lstms[1].output), inputs)
    last, dense = lstms[2], network.layers[-1]
    np.testing.assert_allclose(dense(last(below)), answer(network, inputs), atol=1e-6)


def test_further_layers_pass_all_steps_on_to_the_pooling() -> None:
    network = build_reviews(POOLED.model_copy(update={"further_units": (2,)}))
    assert [lstm.output.shape for lstm in find(network, keras.layers.LSTM)] == [(None, 4, 3), (None, 4, 2)]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("normalisation", "kind"), [("batch", keras.layers.BatchNormalization), ("layer", keras.layers.LayerNormalization)]
)
def test_every_lstm_layer_is_followed_by_its_normalisation(normalisation: str, kind: type, bidirectional: bool) -> None:
    settings = STACKED.model_copy(update={"normalisation": normalisation, "bidirectional": bidirectional})
    layers = find(build_letters(settings), keras.layers.LSTM, keras.layers.Bidirectional, kind)
    assert [isinstance(layer, kind) for layer in layers] == [False, True] * 3
    for lstm, normalising in zip(layers[::2], layers[1::2], strict=True):
        assert keras.tree.flatten(normalising.input)[0] is lstm.output  # behind which there can be a mask


def test_layer_normalisation_is_over_the_units_of_a_step() -> None:
    network = build_letters(STACKED.model_copy(update={"normalisation": "layer", "units": 32}))
    inputs = np.random.default_rng(1).random((2, 4, 1), np.float32)
    first = find(network, keras.layers.LayerNormalization)[0]
    states = answer(keras.Model(network.input, first.input), inputs)
    means, deviations = states.mean(axis=-1, keepdims=True), np.sqrt(states.var(axis=-1, keepdims=True) + 1e-3)
    outputs = answer(keras.Model(network.input, first.output), inputs)
    np.testing.assert_allclose(outputs, (states - means) / deviations, atol=1e-5)


def test_batch_normalisation_learns_from_the_steps_that_are_no_padding() -> None:
    settings = STACKED.model_copy(update={"normalisation": "batch"})
    short, long = build_letters(settings, length=3), build_letters(settings, length=6)
    weights = [np.random.default_rng(1).normal(size=weight.shape) for weight in short.get_weights()]
    for network, inputs_padding in ((short, 0), (long, 3)):
        network.set_weights(weights)
        inputs = np.array([[[0.3], [0.1], [1]], [[0.2], [0.9], [0.5]]], np.float32)
        network(pad(inputs, inputs_padding), training=True)
    moved = [not np.allclose(new, old) for new, old in zip(short.get_weights(), weights, strict=True)]
    assert sum(moved) == 2 * 3  # mean and variance of three layers
    for one, other in zip(short.get_weights(), long.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + abs(x)),
    "sigmoid": sigmoid,
    "linear": lambda x: x,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
}


@pytest.mark.parametrize(
    ("activation", "recurrent_activation"),
    [
        ("tanh", "sigmoid"),
        ("relu", "sigmoid"),
        ("softsign", "sigmoid"),
        ("sigmoid", "tanh"),
        ("linear", "hard_sigmoid"),
        ("tanh", "tanh"),
    ],
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_the_activations_are_those_of_the_gates_and_of_the_state(
    activation: str, recurrent_activation: str, use_bias: bool
) -> None:
    changes = {"activation": activation, "recurrent_activation": recurrent_activation, "use_bias": use_bias}
    network = build_letters(UNMASKED.model_copy(update=changes | {"length": 1}))
    randomise(network)
    kernel, _, *rest = network.get_weights()
    assert len(rest) == 2 + use_bias
    inputs, lstm = np.array([[[0.7]], [[-2.5]]], np.float32), find(network, keras.layers.LSTM)[0]
    i, _, c, o = np.split(inputs[:, 0] @ kernel + (rest[0] if use_bias else 0), 4, axis=1)  # no state yet to forget
    gate, activate = ACTIVATIONS[recurrent_activation], ACTIVATIONS[activation]
    states = answer(keras.Model(network.input, lstm.output), inputs)
    np.testing.assert_allclose(states, gate(o) * activate(gate(i) * activate(c)), atol=1e-6)


# Of a matrix from 64 features to the four gates of 32 units, or from the 32 to these.
@pytest.mark.parametrize(
    ("field", "initialiser", "deviation", "farthest"),
    [
        ("initialiser", "glorot_uniform", np.sqrt(2 / (64 + 128)), np.sqrt(3)),
        ("initialiser", "glorot_normal", np.sqrt(2 / (64 + 128)), 2.27),
        ("initialiser", "he_normal", np.sqrt(2 / 64), 2.27),
        ("initialiser", "lecun_normal", np.sqrt(1 / 64), 2.27),
        ("initialiser", "orthogonal", np.sqrt(1 / 128), None),
        ("recurrent_initialiser", "orthogonal", np.sqrt(1 / 128), None),
        ("recurrent_initialiser", "glorot_uniform", np.sqrt(2 / (32 + 128)), np.sqrt(3)),
        ("recurrent_initialiser", "glorot_normal", np.sqrt(2 / (32 + 128)), 2.27),
    ],
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_begin_as_the_settings_say(
    field: str, initialiser: str, deviation: float, farthest: float | None, bidirectional: bool
) -> None:
    settings = LETTERS.model_copy(
        update={"features": 64, "units": 32, "bidirectional": bidirectional, field: initialiser}
    )
    lstm = find(build_letters(settings), keras.layers.LSTM, keras.layers.Bidirectional)[0]
    for matrix in lstm.get_weights()[field == "recurrent_initialiser" :: 3]:
        assert matrix.std() == pytest.approx(deviation, rel=0.05)
        if farthest is None:
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-5)
        else:
            assert abs(matrix).max() == pytest.approx(farthest * deviation, rel=0.05)


def test_letters_can_be_the_features_of_one_step() -> None:
    network = build_letters(UNMASKED.model_copy(update={"layout": "features"}))
    assert network.input_shape == (None, 1, 4)
    outputs = answer(network, np.random.default_rng(1).random((3, 1, 4), np.float32))
    assert outputs.shape == (3, 26)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    (lstm,) = find(network, keras.layers.LSTM)
    assert lstm.input.shape == (None, 1, 4)


@pytest.mark.parametrize("features", [0, 5])
@pytest.mark.parametrize("further_units", [(), (2, 5)])
def test_a_stateful_network_reads_letter_by_letter_with_the_weights_of_the_other(
    features: int, further_units: tuple[int, ...]
) -> None:
    settings = LETTERS.model_copy(update={"features": features, "further_units": further_units})
    codec = LetterCodec(length=4, first_code=1)
    network, carrying = build_letters(settings), builders.build_stateful_letter_network(settings, codec)
    assert [weight.shape for weight in carrying.get_weights()] == [weight.shape for weight in network.get_weights()]
    randomise(network, carrying)
    codes = codec.encode("ACYB")
    for length in range(1, 5):
        carried = answer(carrying, codes[length - 1].reshape(1, 1, 1))
        np.testing.assert_allclose(carried, answer(network, codec.pad([codes[:length]])), atol=1e-6)


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
    assert len(expected) == len(SMALL_RECIPES)


def test_a_published_network_is_sharpened_by_the_length_of_the_row(tmp_path: Path) -> None:
    plain = build_reviews(POOLED)
    plain.save_weights(tmp_path / "plain.weights.h5")
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=9, length=POOLED.length)
    calibrations = (1.0, Sharpness(always=0.5, short=3.0, shift=0.25))
    unsharpened, sharpened = (
        builders.build_published_network(POOLED, preprocessing, tmp_path / "plain.weights.h5", calibration)
        for calibration in calibrations
    )
    rows = np.array([[0, 0, 0, 1], [0, 0, 1, 5], [1, 5, 8, 4]], np.int32)
    before, after = (to_logits(answer(network, rows))[:, 0] for network in (unsharpened, sharpened))
    np.testing.assert_allclose((after - 0.25) / before, [0.5 + 3 / 1, 0.5 + 3 / 2, 0.5 + 3 / 4], rtol=1e-2)
    assert sharpened.name == plain.name


@pytest.mark.parametrize("any_length", [False, True])
@pytest.mark.parametrize(("labels", "outputs"), [(("ham", "spam"), 1), (("bad", "so-so", "good"), 3)])
def test_a_review_network_has_an_output_for_each_of_more_than_two_labels(
    labels: tuple[str, ...], outputs: int, any_length: bool
) -> None:
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=9, length=4)
    network = builders.build_review_network(REVIEWS, preprocessing, any_length, labels)
    found = answer(network, np.array([[0, 0, 1, 5], [8, 7, 6, 2]], np.int32))
    assert found.shape == (2, outputs)
    if outputs > 1:
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("calibration", [2.0, Sharpness(0.5, 1.5)])
def test_a_published_network_of_several_labels_has_calibrated_logits(
    tmp_path: Path, calibration: float | Sharpness
) -> None:
    labels = ("bad", "so-so", "good")
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=9, length=4)
    network = builders.build_review_network(POOLED, preprocessing, labels=labels)
    network.save_weights(tmp_path / "plain.weights.h5")
    published = builders.build_published_network(
        POOLED, preprocessing, tmp_path / "plain.weights.h5", calibration, labels
    )
    rows = np.array([[0, 0, 1, 5], [8, 7, 6, 2]], np.int32)
    steps = np.array([[2], [4]])
    factor = calibration.always + calibration.short / steps if isinstance(calibration, Sharpness) else 1 / calibration
    logits = np.log(answer(network, rows)) * factor
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer(published, rows), expected, atol=0.01)  # of word vectors of 8 bits


def test_a_network_of_several_labels_answers_as_its_equations() -> None:
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=9, length=4)
    network = builders.build_review_network(POOLED, preprocessing, labels=("bad", "so-so", "good"))
    randomise(network)
    rows = np.array([[0, 0, 1, 5], [8, 7, 6, 2]], np.int32)
    np.testing.assert_allclose(answer(network, rows), cell.answer(POOLED, network.get_weights(), rows, 0), atol=1e-5)
