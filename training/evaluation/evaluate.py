"""The metrics of a network's answers."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from training.data.examples import Examples
from training.errors import DivergedError
from training.evaluation.calibration import calibration_error

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Labels and answers, int [examples], probabilities, float64 [examples, classes], and their metrics."""

    labels: NDArray[np.int32]
    answers: NDArray[np.int_]
    probabilities: NDArray[np.float64]
    metrics: dict[str, float]


def predict(network: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """Return the answers of a Keras network to all examples, float32 [examples, outputs]."""
    answers: NDArray[np.float32] = network.predict(examples.inputs, batch_size=BATCH)
    return answers


def evaluate(answers: NDArray[np.float32], labels: NDArray[np.int32]) -> Evaluation:
    """Measure the quality of answers.

    Args:
        answers: probabilities, float32 [examples, classes]; for two classes, of the second one only, [examples, 1].
        labels: the right class of each, int [examples].

    The metrics are `accuracy`, `loss` (mean negative log likelihood, in nats) and, for two classes, `auc` (area under
    the ROC curve) and `calibration_error` (expected calibration error).

    Raises:
        DivergedError: an answer is not a finite number.
    """
    outputs = answers.astype(np.float64)
    if not np.isfinite(outputs).all():
        raise DivergedError("the training diverged; try a lower learning_rate or set clip_norm")
    two_classes = outputs.shape[1] == 1
    probabilities = np.hstack([1 - outputs, outputs]) if two_classes else outputs
    labels = labels.astype(np.int32)
    # Like the service: a probability of exactly one half is positive.
    classes = (probabilities[:, 1] >= 0.5).astype(int) if two_classes else probabilities.argmax(axis=1)
    # Like Keras: a probability of exactly 0 would make the mean loss infinite.
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], keras.config.epsilon())
    found = {
        "accuracy": float(np.mean(classes == labels)),
        "loss": float(-np.log(likelihood).mean()),
    }
    if two_classes:
        found["auc"] = float(metrics.auc(*roc_curve(labels, probabilities[:, 1])))
        found["calibration_error"] = calibration_error(probabilities.max(axis=1), classes == labels)
    return Evaluation(labels, classes, probabilities, found)


def roc_curve(labels: NDArray[np.int32], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the rates of false and of true positives by falling threshold, float64 [thresholds], from 0 to 1."""
    false_positives, true_positives, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    return false_positives, true_positives
