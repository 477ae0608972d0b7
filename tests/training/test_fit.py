import keras
import numpy as np
import pytest

from bundle.letters import LetterCodec
from bundle.reviews import ReviewPreprocessing, WordTokeniser
from training.fit import Examples, fit
from training.networks import build_letter_network, build_review_network
from training.recipes import LetterSettings, ReviewSettings, TrainingSettings

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


def test_examples_can_be_taken_in_any_order() -> None:
    examples = Examples(np.array([[1], [2], [3]], np.int32), np.array([0, 1, 0], np.int32))
    taken = examples.take(np.array([2, 1]))
    assert taken.inputs.tolist() == [[3], [2]]
    assert taken.labels.tolist() == [0, 1]


def test_examples_can_be_joined() -> None:
    hard = Examples(np.array([[1], [2]], np.int32), np.array([0, 1], np.int32))
    soft = Examples(np.array([[3]], np.int32), np.array([0.25], np.float32))
    joined = hard.join(soft)
    assert joined.inputs.tolist() == [[1], [2], [3]]
    assert joined.labels.tolist() == [0, 1, 0.25]


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


def test_labels_can_be_probabilities(network: keras.Model) -> None:
    network.set_weights([np.array([[1.0], [0.0]]), np.array([0.0])])
    labels = np.array([0.9, 0.8, 0.7, 0.4], np.float32)
    history = fit(network, make_settings(), Examples(np.tile(np.array([1, 0], np.float32), (4, 1)), labels))
    answered = 1 / (1 + np.exp(-1))
    expected = -np.mean(labels * np.log(answered) + (1 - labels) * np.log(1 - answered))
    assert history == {"accuracy": [0.75], "loss": [pytest.approx(expected)]}


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


def test_the_network_itself_is_not_compiled(network: keras.Model) -> None:
    fit(network, make_settings(), make_examples([0, 1]))
    assert not network.compiled
