"""The calibration of probabilities, measured and corrected.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

BINS = 15

_LEAST = 1e-7


class Sharpness(NamedTuple):
    """What makes logits calibrated: they are multiplied by `always + short / steps`, then `shift` is added.

    Source of the two for rows of any length: Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """

    always: float
    short: float
    shift: float = 0.0


def to_logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of probabilities, float64 of the same shape; none is infinite."""
    clipped = np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)
    logits: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return logits


def to_probabilities(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the probabilities of logits, float32 of the same shape."""
    probabilities: NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return probabilities


def average_answers(answers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the probability of the mean logit of several answers, float32 of one shape, ignoring NaN."""
    return to_probabilities(np.nanmean([to_logits(each) for each in answers], axis=0))


def to_margins(probabilities: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of the right answers, float64 [examples], for probabilities of label 1 and labels 0 or 1."""
    return to_logits(probabilities) * np.where(labels == 1, 1, -1)


def find_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
    """Return the divisor of logits that maximises the likelihood of the labels, 0 or 1; both float32 [examples]."""
    margins = to_margins(probabilities, labels)
    return _minimise(lambda temperature: float(np.logaddexp(0, -margins / temperature).mean()))


def find_temperature_of_several(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> float:
    """Return the same for more than two labels.

    Args:
        probabilities: of each label, float32 [examples, labels].
        labels: the right one, integers [examples].
    """
    return _minimise(_make_loss(probabilities, labels))


def measure_calibrated_loss(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> float:
    """Return the mean cross-entropy at the best temperature: see `find_temperature_of_several`."""
    loss = _make_loss(probabilities, labels)
    return loss(_minimise(loss))


def _make_loss(probabilities: NDArray[np.float32], labels: NDArray[np.integer]) -> Callable[[float], float]:
    """Return the mean cross-entropy as a function of the temperature."""
    logits = np.log(np.clip(probabilities.astype(np.float64), _LEAST, 1))
    behind = logits - logits[np.arange(len(labels)), labels][:, np.newaxis]
    return lambda temperature: float(logsumexp(behind / temperature, axis=1).mean())


def find_sharpness(
    probabilities: NDArray[np.float32], labels: NDArray[np.float32], steps: NDArray[np.integer]
) -> Sharpness:
    """Return the sharpness that maximises the likelihood of the labels, 0 or 1; all arrays are [examples]."""
    logits, signs = to_logits(probabilities), np.where(labels == 1, 1, -1)

    def measure(values: NDArray[np.float64]) -> float:
        endless, one_step, shift = values
        return float(np.logaddexp(0, -signs * (logits * (endless + (one_step - endless) / steps) + shift)).mean())

    # The factors of endless rows and of rows of one step: if neither is negative, none is.
    endless, one_step, shift = minimize(measure, [1, 1, 0], bounds=[(0, None), (0, None), (None, None)]).x
    return Sharpness(float(endless), float(one_step - endless), float(shift))


def divide_logits(network: keras.Model, temperature: float) -> None:
    """Divide the logits of a network by a temperature, in the weights of its last layer: a sigmoid or softmax."""
    last = network.layers[-1]
    last.set_weights([weight / temperature for weight in last.get_weights()])


def _minimise(measure: Callable[[float], float]) -> float:
    """Return the temperature for which a measure is least."""
    found = minimize_scalar(lambda logarithm: measure(np.exp(logarithm)), bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, in 15 bins of equal width.

    It is the mean over all examples of the distance between the mean confidence and the accuracy of their bin.

    Args:
        confidence: probability of the answer to each example, float64 [examples].
        right: whether the answer was right, bool [examples].
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, confidence - right, BINS)
    return float(np.abs(gaps).sum() / len(right))
