from io import StringIO

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.reviews import ReviewPreprocessing
from bundle.tokenisers import WordTokeniser
from training.data.examples import Examples
from training.loops.fit import fit
from training.networks.builders import build_letter_network, build_review_network, build_stateful_letter_network
from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings
from training.recipes.stack import TrainingSettings

RATE = 1e-3


def make_examples(labels: list[int]) -> Examples:
    """Examples of one and the same input, whose second component is 0."""
    return Examples(np.tile(np.array([1, 0], np.float32), (len(labels), 1)), np.array(labels, np.int32))


def make_settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate(
        {"units": 1, "learning_rate": RATE, "batch_size": 4, "epochs": 1, "seed": 1} | changes
    )


@pytest.fixture
def network() -> keras.Model:
    """One sigmoid of two inputs, all weights 0."""
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")(inputs))


def get_weights(network: keras.Model) -> list[float]:
    """The weights of both inputs, and the bias."""
    return [float(value) for weight in network.get_weights() for value in weight.ravel()]


@pytest.mark.parametrize("features", [0, 16])
def test_one_step_changes_every_weight_of_a_letter_network(features: int) -> None:
    keras.utils.set_random_seed(1)
    settings = LetterSettings(patterns="all", length=3, units=2, features=features, batch_size=4, epochs=1)
    network = build_letter_network(settings, LetterCodec(length=3, first_code=1))
    before = network.get_weights()
    inputs = np.linspace(0.1, 1, 12, dtype=np.float32).reshape(4, 3, 1)
    history = fit(network, settings, Examples(inputs, np.array([0, 3, 7, 25], np.int32)))
    assert len(before) == len(network.trainable_weights) == 5 + 2 * bool(features)
    assert all((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))
    assert sorted(history) == ["accuracy", "loss"]


def test_one_step_changes_every_weight_of_a_review_network() -> None:
    settings = ReviewSettings(
        tokeniser="words",
        vocabulary_size=7,
        length=3,
        embedding=2,
        units=2,
        bidirectional=True,
        pooling="mean-max",
        mask_padding=True,
        batch_size=2,
        epochs=1,
    )
    preprocessing = ReviewPreprocessing(tokeniser=WordTokeniser(), vocabulary_size=7, length=3)
    network = build_review_network(settings, preprocessing)
    before = network.get_weights()
    fit(network, settings, Examples(np.array([[0, 1, 5], [4, 5, 6]], np.int32), np.array([0, 1], np.int32)))
    assert len(before) == len(network.trainable_weights) == 9
    assert all((old != new).any() for old, new in zip(before, network.get_weights(), strict=True))


def test_history_has_one_value_by_epoch_and_the_held_out_part_where_there_is_one(network: keras.Model) -> None:
    alone = fit(network, make_settings(epochs=3), make_examples([0, 1]))
    assert {name: len(values) for name, values in alone.items()} == {"loss": 3, "accuracy": 3}
    both = fit(network, make_settings(epochs=2), make_examples([0, 1]), make_examples([1]))
    assert {name: len(values) for name, values in both.items()} == {
        "loss": 2,
        "accuracy": 2,
        "val_loss": 2,
        "val_accuracy": 2,
    }
    assert all(type(value) is float for values in both.values() for value in values)


def test_accuracy_is_the_share_of_examples_answered_right(network: keras.Model) -> None:
    network.set_weights([np.array([[10.0], [0.0]]), np.array([0.0])])
    inputs = np.array([[1, 0], [-1, 0], [-1, 0], [1, 0]], np.float32)
    training = Examples(inputs, np.array([1, 0, 0, 0], np.int32))
    held_out = Examples(inputs, np.array([1, 0, 0, 1], np.int32))
    history = fit(network, make_settings(), training, held_out)
    assert (history["accuracy"], history["val_accuracy"]) == ([0.75], [1.0])


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_the_loss_of_two_classes(network: keras.Model, loss: str) -> None:
    network.set_weights([np.array([[1.0], [0.0]]), np.array([0.0])])
    labels = np.array([1, 0, 0.9, 0.25])
    history = fit(network, make_settings(loss=loss), Examples(make_examples([0] * 4).inputs, labels.astype(np.float32)))
    p = 1 / (1 + np.exp(-1))
    cross_entropy = -(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    expected = {
        "cross-entropy": cross_entropy,
        "squared-error": (labels - p) ** 2,
    }[loss]
    assert history["loss"] == [pytest.approx(expected.mean(), rel=1e-5)]


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_the_loss_of_many_classes(loss: str) -> None:
    inputs, random = keras.Input((2,)), np.random.default_rng(1)
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inputs))
    network.set_weights([random.normal(size=(2, 3)), random.normal(size=3)])
    numbers, labels = random.normal(size=(4, 2)).astype(np.float32), np.array([2, 0, 2, 1], np.int32)
    probabilities = keras.ops.convert_to_numpy(network(numbers))
    history = fit(network, make_settings(loss=loss), Examples(numbers, labels))
    of_label = probabilities[np.arange(4), labels]
    expected = {
        "cross-entropy": -np.log(of_label),
        "squared-error": ((np.eye(3)[labels] - probabilities) ** 2).mean(axis=1),
    }[loss]
    assert history["loss"] == [pytest.approx(expected.mean(), rel=1e-5)]
    assert history["accuracy"] == [(probabilities.argmax(axis=1) == labels).mean()]


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_every_loss_falls(network: keras.Model, loss: str) -> None:
    losses = fit(network, make_settings(loss=loss, epochs=5, learning_rate=0.1), make_examples([1] * 4))["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]


# The gradient keeps its sign, so every step of Adam is as long as the learning rate.
@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"epochs": 10}, 10 * RATE),
        ({"epochs": 10, "learning_rate": 2 * RATE}, 20 * RATE),
        ({"epochs": 10, "schedule": "cosine"}, 5.5 * RATE),
        ({"epochs": 10, "batch_size": 3, "schedule": "cosine"}, 10.5 * RATE),
        ({"epochs": 10, "steps_per_call": 3, "batch_size": 1}, 40 * RATE),
        ({"epochs": 1, "optimiser": "rmsprop"}, RATE / np.sqrt(0.1)),
        ({"epochs": 10, "optimiser": "sgd"}, 10 * RATE / 2),  # the gradient is 1/2
    ],
    ids=str,
)
def test_weights_move_as_the_settings_say(network: keras.Model, changes: dict[str, object], moved: float) -> None:
    fit(network, make_settings(**changes), make_examples([1] * 4))
    assert get_weights(network) == pytest.approx([moved, 0, moved], rel=0.02)


def test_gradients_are_clipped(network: keras.Model) -> None:
    # Far below the epsilon of Adam, which otherwise hides the length of a gradient.
    fit(network, make_settings(clip_norm=1e-9), make_examples([1] * 4))
    assert 0 < get_weights(network)[0] < 0.05 * RATE


def test_weights_decay(network: keras.Model) -> None:
    network.set_weights([np.array([[1.0], [1.0]]), np.array([0.0])])
    fit(network, make_settings(learning_rate=0.1, weight_decay=0.5, epochs=3), make_examples([1]))
    assert get_weights(network)[1] == pytest.approx((1 - 0.1 * 0.5) ** 3)  # of an input that is always 0


def test_patience_stops_early_and_restores_the_best_weights(network: keras.Model) -> None:
    held_out = make_examples([0, 0])  # gets worse with every step
    history = fit(network, make_settings(epochs=50, patience=3), make_examples([1] * 4), held_out)
    assert len(history["loss"]) == 1 + 3
    assert history["val_loss"] == sorted(history["val_loss"])
    assert get_weights(network)[0] == pytest.approx(RATE, rel=0.02)
    assert history["val_loss"][0] == pytest.approx(np.log1p(np.exp(2 * RATE)), rel=1e-3)


def test_patience_looks_at_the_training_loss_where_nothing_is_held_out(network: keras.Model) -> None:
    history = fit(network, make_settings(epochs=50, patience=2), make_examples([0, 1]))  # as good as it gets
    assert len(history["loss"]) == 1 + 2


def test_steps_per_call_does_not_change_the_weights() -> None:
    def train(steps: int) -> list[float]:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((2,))
        network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
        random = np.random.default_rng(1)
        examples = Examples(random.random((10, 2), np.float32), random.integers(0, 2, 10).astype(np.int32))
        fit(network, make_settings(epochs=3, steps_per_call=steps, batch_size=3), examples)
        return get_weights(network)

    assert train(1) == pytest.approx(train(3), rel=1e-6)


def descend(inputs: NDArray[np.float32], labels: list[int], epochs: int) -> NDArray[np.float64]:
    """Return the weights that gradient descent by 1, an example a step and in order, makes of zeros."""
    weights = np.zeros(3)
    for row, label in [*zip(inputs, labels, strict=True)] * epochs:
        with_bias = np.append(row, 1)
        weights -= (1 / (1 + np.exp(-weights @ with_bias)) - label) * with_bias
    return weights


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_examples_come_in_order_unless_they_are_shuffled(network: keras.Model, shuffle: bool) -> None:
    inputs = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
    labels = [0, 1, 1, 0, 1, 1, 0, 0]
    settings = make_settings(optimiser="sgd", learning_rate=1.0, batch_size=1, epochs=2, shuffle=shuffle)
    fit(network, settings, Examples(inputs, np.array(labels, np.int32)))
    in_order = np.allclose(get_weights(network), descend(inputs, labels, epochs=2), atol=1e-5)
    assert in_order != shuffle


def test_a_stateful_network_starts_every_epoch_from_zeros() -> None:
    keras.utils.set_random_seed(1)
    settings = LetterSettings(
        patterns="prefixes",
        length=5,
        stateful=True,
        first_code=0,
        units=4,
        further_units=(3,),
        batch_size=1,
        shuffle=False,
        epochs=3,
        learning_rate=1e-12,
    )
    codec = LetterCodec(length=5, first_code=0, padding_value=-1)
    network, carrying = build_letter_network(settings, codec), build_stateful_letter_network(settings, codec)
    weights = [np.random.default_rng(1).normal(size=weight.shape) for weight in network.get_weights()]
    network.set_weights(weights)
    carrying.set_weights(weights)
    letters, labels = codec.encode("ABCDE"), np.arange(1, 6, dtype=np.int32)
    for letter in letters[::-1]:  # another state than that of zeros
        carrying(letter.reshape(1, 1, 1))
    history = fit(carrying, settings, Examples(letters.reshape(5, 1, 1), labels))
    prefixes = codec.pad([letters[:length] for length in range(1, 6)])
    answers = keras.ops.convert_to_numpy(network(prefixes))
    expected = -np.log(answers[np.arange(5), labels]).mean()
    assert history["loss"] == [pytest.approx(expected, rel=1e-5)] * 3


@pytest.mark.parametrize("epochs", [1, 21])
def test_a_training_is_told_on_its_console(network: keras.Model, epochs: int) -> None:
    console = Console(file=StringIO(), width=200)
    history = fit(network, make_settings(epochs=epochs), make_examples([0, 1]), console=console)
    assert isinstance(console.file, StringIO)
    first, *_, last = console.file.getvalue().splitlines() * 2
    assert first.startswith(f"epoch 1 of {epochs}: accuracy ")
    assert last == (
        f"epoch {epochs} of {epochs}: accuracy {history['accuracy'][-1]:.4f}, loss {history['loss'][-1]:.4f}"
    )


def test_a_training_is_silent_without_a_console(network: keras.Model, capsys: pytest.CaptureFixture[str]) -> None:
    fit(network, make_settings(epochs=30), make_examples([0, 1]))
    assert capsys.readouterr().out == ""


def test_the_network_itself_is_not_compiled(network: keras.Model) -> None:
    fit(network, make_settings(), make_examples([0, 1]))
    assert not network.compiled


@pytest.mark.parametrize(("outputs", "labels"), [(1, [0, 1, 1, 0]), (3, [0, 1, 2, 1])])
def test_certain_targets_teach_what_labels_teach(outputs: int, labels: list[int]) -> None:
    def train(targets: NDArray[np.float32] | None) -> tuple[list[NDArray[np.float32]], dict[str, list[float]]]:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((2,))
        last = keras.layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")
        network = keras.Model(inputs, last(inputs))
        training = Examples(values, np.array(labels, np.int32), targets)
        history = fit(network, make_settings(epochs=3, learning_rate=0.1), training, make_held_out())
        return network.get_weights(), history

    def make_held_out() -> Examples:
        return Examples(values[:2], np.array(labels[:2], np.int32))

    values = np.array([[1, 0], [0, 1], [1, 1], [2, 1]], np.float32)
    certain = np.array(labels, np.float32)[:, np.newaxis] if outputs == 1 else np.eye(3, dtype=np.float32)[labels]
    (hard, hard_history), (soft, soft_history) = train(None), train(certain)
    for one, other in zip(hard, soft, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert soft_history.keys() == hard_history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, figures in hard_history.items():
        assert soft_history[name] == pytest.approx(figures, abs=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_soft_targets_are_learnt_as_probabilities(outputs: int) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((1,))
    last = keras.layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")
    network = keras.Model(inputs, last(inputs))
    wanted = np.array([[0.8]] if outputs == 1 else [[0.2, 0.7, 0.1]], np.float32)
    examples = Examples(np.ones((8, 1), np.float32), np.zeros(8, np.int32), np.repeat(wanted, 8, axis=0))
    taken = examples.take(np.arange(8))
    history = fit(network, make_settings(epochs=200, learning_rate=0.1, batch_size=8), taken)
    np.testing.assert_allclose(network.predict(np.ones((1, 1)), verbose=0), wanted, atol=0.01)
    assert history["accuracy"][-1] == 1  # of the likeliest label of the targets
