import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from training.data.examples import Examples
from training.errors import OutputError
from training.evaluation.evaluate import LabelFigures, by_label, evaluate, predict, roc_curve


def make_echo(outputs: int) -> keras.Model:
    """A network that answers with its inputs."""
    inputs = keras.Input((outputs,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def test_metrics_of_one_output() -> None:
    outputs = np.array([[0.9], [0.2], [0.4], [0.6], [0.5]], np.float32)
    labels = np.array([1, 0, 1, 0, 0], np.int32)
    evaluation = evaluate(outputs, labels)
    assert evaluation.labels.tolist() == [1, 0, 1, 0, 0]
    assert evaluation.answers.tolist() == [1, 0, 0, 1, 1]
    assert evaluation.probabilities.dtype == np.float64
    np.testing.assert_allclose(evaluation.probabilities, np.hstack([1 - outputs, outputs]))
    assert evaluation.metrics == pytest.approx(
        {
            "accuracy": 2 / 5,  # 0.4, 0.6 and 0.5 are answered wrong
            "loss": -np.log([0.9, 0.8, 0.4, 0.4, 0.5]).mean(),
            "auc": 4 / 6,
            "calibration_error": np.mean([0.1, 0.2, 0.6, 0.6, 0.5]),
        }
    )


def test_metrics_of_many_outputs() -> None:
    outputs = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.5, 0.3, 0.2]], np.float32)
    evaluation = evaluate(outputs, np.array([0, 2, 1, 1], np.int32))
    np.testing.assert_array_equal(evaluation.probabilities, outputs)
    assert evaluation.answers.tolist() == [0, 2, 1, 0]
    assert evaluation.metrics == pytest.approx({"accuracy": 3 / 4, "loss": -np.log([0.7, 0.7, 0.4, 0.3]).mean()})


def test_one_half_is_positive_and_all_below_is_not() -> None:
    half = np.float32(0.5)
    outputs = np.array([[np.nextafter(half, np.float32(0))], [half], [np.nextafter(half, np.float32(1))]], np.float32)
    evaluation = evaluate(outputs, np.array([0, 1, 1], np.int32))
    assert evaluation.answers.tolist() == [0, 1, 1]
    assert evaluation.metrics["accuracy"] == 1


def test_a_certain_mistake_has_a_finite_loss() -> None:
    outputs = np.array([[0.0], [1.0]], np.float32)
    metrics = evaluate(outputs, np.array([1, 0], np.int32)).metrics
    assert metrics == pytest.approx({"accuracy": 0, "loss": -np.log(1e-7), "auc": 0, "calibration_error": 1})


def test_more_examples_than_a_batch_keep_their_order() -> None:
    inputs = np.linspace(0, 1, 600, dtype=np.float32)[:, np.newaxis]
    echoed = predict(make_echo(1), Examples(inputs, np.zeros(600, np.int32)))
    np.testing.assert_array_equal(echoed, inputs)


@pytest.mark.parametrize(
    ("labels", "scores", "false_positives", "true_positives"),
    [
        ([0, 1], [0.1, 0.9], [0, 0, 1], [0, 1, 1]),
        ([1, 0], [0.1, 0.9], [0, 1, 1], [0, 0, 1]),
        ([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5], [0, 1], [0, 1]),
        ([1, 0, 1, 0], [0.9, 0.6, 0.6, 0.1], [0, 0, 0.5, 1], [0, 0.5, 1, 1]),
    ],
)
def test_the_curve_has_one_point_by_threshold(
    labels: list[int], scores: list[float], false_positives: list[float], true_positives: list[float]
) -> None:
    found = roc_curve(np.array(labels, np.int32), np.array(scores))
    assert [rates.tolist() for rates in found] == [false_positives, true_positives]


@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])), min_size=2))
@settings(deadline=None)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, float]]) -> None:
    pairs = [*pairs, (0, 0.3), (1, 0.4)]  # at least one of either label
    labels, scores = (np.array(values) for values in zip(*pairs, strict=True))
    false_positives, true_positives = roc_curve(labels.astype(np.int32), scores)
    assert (np.diff(false_positives) >= 0).all() and (np.diff(true_positives) >= 0).all()
    assert (false_positives[0], true_positives[0], false_positives[-1], true_positives[-1]) == (0, 0, 1, 1)
    wins = [
        1.0 if positive > negative else 0.5 if positive == negative else 0.0
        for positive, negative in itertools.product(scores[labels == 1], scores[labels == 0])
    ]
    assert np.trapezoid(true_positives, false_positives) == pytest.approx(np.mean(wins))


def test_several_labels_are_also_measured_by_their_ranking_and_calibration() -> None:
    outputs = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.5, 0.3, 0.2]], np.float32)
    labels = np.array([0, 2, 1, 1], np.int32)
    found = evaluate(outputs, labels, with_ranking=True).metrics
    # Of each label against the others: 0 is above all others, 1 above 3 of 4 pairs and equal in none, 2 above all.
    assert found["auc"] == pytest.approx((1 + 1 + 1) / 3)
    assert found["calibration_error"] == pytest.approx(np.mean([0.3, 0.3, 0.6, 0.5]))
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics.roc_auc_score(labels, outputs, multi_class="ovr") == pytest.approx(found["auc"])


def test_a_label_without_examples_does_not_count_in_the_means() -> None:
    outputs = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32)
    found = evaluate(outputs, np.array([0, 1, 0], np.int32), with_ranking=True).metrics
    assert (found["auc"], found["macro_f1"]) == (1, 1)
    assert "auc" not in evaluate(outputs, np.zeros(3, np.int32), with_ranking=True).metrics


def test_two_labels_have_the_same_figures_with_ranking() -> None:
    outputs, labels = np.array([[0.9], [0.2], [0.4]], np.float32), np.array([1, 0, 1], np.int32)
    assert evaluate(outputs, labels, with_ranking=True).metrics == evaluate(outputs, labels).metrics


def test_each_label_has_figures() -> None:
    outputs = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    good, bad, rare = by_label(evaluate(outputs, np.array([0, 1, 1, 2], np.int32)), ("good", "bad", "rare"))
    assert good[:4] == ("good", 1, 0.5, 1.0) and good.f1 == pytest.approx(2 / 3)
    assert bad == LabelFigures("bad", 2, 0.5, 0.5, 0.5)
    assert rare[:2] == ("rare", 1) and np.isnan(rare.precision) and (rare.recall, rare.f1) == (0, 0)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([[0.5], [1.5]], "answers with 1.5, which is no probability; end it with a sigmoid for two labels"),
        ([[0.5], [-0.1]], "answers with -0.1, which is no probability"),
        ([[0.5, 0.4, 0.1], [0.5, 0.9, 0.6]], "answers with 3 numbers whose sum is 2, not 1"),
    ],
)
def test_answers_that_are_no_probabilities_have_no_figures(outputs: list[list[float]], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        evaluate(np.array(outputs, np.float32), np.array([0, 1], np.int32))
