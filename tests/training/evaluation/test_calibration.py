import keras
import numpy as np
import pytest
from keras import layers

from training.evaluation.calibration import (
    calibration_error,
    divide_logits,
    find_sharpness,
    find_temperature,
    find_temperature_of_several,
    measure_calibrated_loss,
)


def test_the_temperature_undoes_what_made_a_network_too_sure() -> None:
    random = np.random.default_rng(7)
    logits = random.normal(0, 2, 20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    too_sure = (1 / (1 + np.exp(-3 * logits))).astype(np.float32)
    assert find_temperature(too_sure, labels) == pytest.approx(3, rel=0.1)


def test_probabilities_of_zero_and_one_have_a_temperature() -> None:
    assert np.isfinite(find_temperature(np.array([0, 1, 1], np.float32), np.array([0, 1, 0], np.float32)))


def test_the_sharpness_undoes_what_made_a_network_too_unsure_of_short_rows() -> None:
    random = np.random.default_rng(7)
    logits, steps = random.normal(0, 2, 40_000), random.choice([2, 4, 100], 40_000)
    labels = (random.random(40_000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    answers = (1 / (1 + np.exp(-(logits - 0.4) / (0.8 + 3 / steps)))).astype(np.float32)  # and too rarely positive
    assert find_sharpness(answers, labels, steps) == pytest.approx((0.8, 3, 0.4), rel=0.05)


def test_a_sharpness_does_not_reverse_the_order_of_texts_of_the_same_length() -> None:
    answers = np.array([0.9, 0.9, 0.1, 0.1, 0.8, 0.8, 0.2, 0.2], np.float32)
    labels = np.array([0, 0, 1, 1, 1, 1, 0, 0], np.float32)  # short texts are all wrong
    always, short, _ = find_sharpness(answers, labels, np.array([1, 1, 1, 1, 50, 50, 50, 50]))
    assert always > 0
    assert always + short == pytest.approx(0, abs=1e-6)


def test_dividing_the_logits_leaves_the_answer() -> None:
    inputs = keras.Input((3,))
    network = keras.Model(inputs, layers.Dense(1, activation="sigmoid", bias_initializer="ones")(inputs))
    examples = np.random.default_rng(7).normal(size=(5, 3)).astype(np.float32)
    before = network.predict(examples, verbose=0)
    divide_logits(network, 2)
    after = network.predict(examples, verbose=0)
    np.testing.assert_allclose(np.log(before / (1 - before)), 2 * np.log(after / (1 - after)), rtol=1e-4)


def test_the_error_is_the_mean_distance_of_confidence_from_accuracy() -> None:
    confidence, right = np.array([0.9, 0.9, 0.9, 0.9, 0.8]), np.array([True, True, True, False, True])
    # Three of four are right where 90 % are expected, and one of one where 80 % are.
    assert calibration_error(confidence, right) == pytest.approx((4 * 0.15 + 0.2) / 5)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_the_temperature_of_several_labels_undoes_what_made_a_network_too_sure() -> None:
    random = np.random.default_rng(7)
    logits = random.normal(0, 2, (20_000, 4))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)  # drawn with the probabilities of a softmax
    too_sure = np.exp(3 * logits)
    too_sure = (too_sure / too_sure.sum(axis=1, keepdims=True)).astype(np.float32)
    assert find_temperature_of_several(too_sure, labels) == pytest.approx(3, rel=0.1)
    certain = np.array([[0, 1, 0], [1, 0, 0]], np.float32)
    assert np.isfinite(find_temperature_of_several(certain, np.array([1, 2])))


def test_the_calibrated_loss_does_not_depend_on_how_sure_a_network_is() -> None:
    random = np.random.default_rng(7)
    logits = random.normal(0, 1, (500, 3))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)

    def measure(factor: float) -> float:
        shares = np.exp(factor * logits)
        return measure_calibrated_loss((shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), labels)

    as_it_is = -np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(500), labels].mean()
    assert measure(1) <= as_it_is
    assert measure(3) == pytest.approx(measure(1), rel=1e-3) and measure(0.5) == pytest.approx(measure(1), rel=1e-3)


def test_the_temperature_of_two_labels_is_the_same_by_both_ways() -> None:
    random = np.random.default_rng(7)
    second = random.uniform(0.01, 0.99, 500).astype(np.float32)
    labels = (random.random(500) < second**2).astype(np.int32)
    both = np.stack([1 - second, second], axis=1)
    of_two = find_temperature(second, labels.astype(np.float32))
    assert find_temperature_of_several(both, labels) == pytest.approx(of_two, rel=1e-3)


def test_dividing_the_logits_of_several_labels_leaves_the_answer() -> None:
    inputs = keras.Input((3,))
    network = keras.Model(inputs, layers.Dense(4, activation="softmax", bias_initializer="ones")(inputs))
    examples = np.random.default_rng(7).normal(size=(5, 3)).astype(np.float32)
    before = np.log(network.predict(examples, verbose=0))
    divide_logits(network, 2)
    after = np.log(network.predict(examples, verbose=0))
    np.testing.assert_allclose(before - before[:, :1], 2 * (after - after[:, :1]), rtol=1e-4, atol=1e-5)
