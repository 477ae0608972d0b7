"""The metrics of a network's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from bundle.probabilities import find_fault
from training.data.examples import Examples
from training.errors import DivergedError, OutputError
from training.evaluation.calibration import calibration_error

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Labels and answers, int [examples], probabilities, float64 [examples, classes], and their metrics."""

    labels: NDArray[np.int32]
    answers: NDArray[np.int_]
    probabilities: NDArray[np.float64]
    metrics: dict[str, float]


class LabelFigures(NamedTuple):
    """How well one label is answered.

    Attributes:
        label: its name.
        examples: number of the examples that have it.
        precision: share of right answers among the answers with this label; NaN if there is none.
        recall: share of right answers among the examples with this label; NaN if there is none.
        f1: the harmonic mean of both; NaN without examples and answers.
    """

    label: str
    examples: int
    precision: float
    recall: float
    f1: float


def predict(network: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """Return the answers of a Keras network to all examples, float32 [examples, outputs]."""
    answers: NDArray[np.float32] = network.predict(examples.inputs, batch_size=BATCH)
    return answers


def evaluate(answers: NDArray[np.float32], labels: NDArray[np.int32], with_ranking: bool = False) -> Evaluation:
    """Measure the quality of answers.

    Args:
        answers: probabilities, float32 [examples, classes]; for two classes, of the second one only, [examples, 1].
        labels: the right class of each, int [examples].
        with_ranking: whether to measure `auc` and `calibration_error` also for more than two classes, and `macro_f1`.

    The metrics are `accuracy`, `loss` (mean negative log likelihood, in nats) and, for two classes, `auc` (area under
    the ROC curve) and `calibration_error` (expected calibration error). For more classes `auc` is the mean of each
    class against the others, and `macro_f1` the mean of their F1; both of the classes that the examples have.

    Raises:
        DivergedError: an answer is not a finite number.
        OutputError: an answer is no probability, or those of an example have another sum than 1.
    """
    check_answers(answers)
    outputs = answers.astype(np.float64)
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
    elif with_ranking:
        present = np.unique(labels)
        if len(present) > 1:
            of_each = [metrics.roc_auc_score(labels == label, probabilities[:, label]) for label in present]
            found["auc"] = float(np.mean(of_each))
        found["calibration_error"] = calibration_error(probabilities.max(axis=1), classes == labels)
        found["macro_f1"] = _macro_f1(labels, classes)
    return Evaluation(labels, classes, probabilities, found)


def find_macro_f1(evaluation: Evaluation) -> float:
    """Return the mean of the F1 of the classes that the examples have."""
    return _macro_f1(evaluation.labels, evaluation.answers)


def _macro_f1(labels: NDArray[np.int32], classes: NDArray[np.int_]) -> float:
    return float(metrics.f1_score(labels, classes, labels=np.unique(labels), average="macro"))


def check_answers(answers: NDArray[np.float32]) -> None:
    """Return if answers, float32 [examples, outputs], are probabilities.

    Raises:
        DivergedError, OutputError: see `evaluate`.
    """
    if not np.isfinite(answers).all():
        raise DivergedError("the training diverged; try a lower learning_rate or set clip_norm")
    if fault := find_fault(answers):
        raise OutputError(
            f"the network answers with {fault}; end it with a sigmoid for two labels, or a softmax for more"
        )


def by_label(evaluation: Evaluation, labels: Sequence[str]) -> list[LabelFigures]:
    """Return the figures of each label."""
    precision, recall, f1, examples = metrics.precision_recall_fscore_support(
        evaluation.labels, evaluation.answers, labels=range(len(labels)), zero_division=np.nan
    )
    return [
        LabelFigures(label, int(count), *map(float, figures))
        for label, count, *figures in zip(labels, examples, precision, recall, f1, strict=True)
    ]


def roc_curve(labels: NDArray[np.int32], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return the rates of false and of true positives by falling threshold, float64 [thresholds], from 0 to 1."""
    false_positives, true_positives, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    return false_positives, true_positives
