"""The LSTM in NumPy and float64, as its equations are written: what everything that runs a network has to agree with.

S. Hochreiter and J. Schmidhuber: Long Short-Term Memory, Neural Computation 9 (1997), with the forget gate of
F. A. Gers, J. Schmidhuber and F. Cummins: Learning to Forget: Continual Prediction with LSTM, Neural Computation 12
(2000). With x the input of a step, h what is put out, C the state of the cell, and [h, x] the two behind one another:

    f = sigmoid(W_f [h, x] + b_f)    forget gate
    i = sigmoid(W_i [h, x] + b_i)    input gate
    c = tanh(W_c [h, x] + b_c)       candidate
    C = f * C + i * c
    o = sigmoid(W_o [h, x] + b_o)    output gate
    h = o * tanh(C)

Must import neither Keras nor what runs networks here, so that it cannot share their mistakes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipes.letters import LetterSettings
from training.recipes.reviews import ReviewSettings
from training.recipes.stack import StackSettings

Array = NDArray[np.float64]
Activation = Callable[[Array], Array]

EPSILON = 1e-3  # added to a variance: the default of Keras' normalisation layers


def sigmoid(x: Array) -> Array:
    """Return the logistic function."""
    y: Array = 1 / (1 + np.exp(-x))
    return y


ACTIVATIONS: dict[str, Activation] = {
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "softsign": lambda x: x / (1 + abs(x)),
    "tanh": np.tanh,
}


@dataclass(frozen=True)
class Cell:
    """The weights of a cell: matrices [units, units + features], biases [units]; and its two activations."""

    W_f: Array
    W_i: Array
    W_c: Array
    W_o: Array
    b_f: Array
    b_i: Array
    b_c: Array
    b_o: Array
    gate: Activation
    activation: Activation

    @classmethod
    def take(cls, settings: StackSettings, weights: Iterator[Array]) -> "Cell":
        """Cut the matrices out of Keras' next weights.

        Those are a kernel [features, 4 * units], a recurrent kernel [units, 4 * units] and, where it has one, a bias
        [4 * units], with the columns of i, f, c and o in this order.
        """
        kernel, recurrent = next(weights), next(weights)
        bias = next(weights) if settings.use_bias else np.zeros(kernel.shape[1])
        W_i, W_f, W_c, W_o = np.split(np.concatenate([recurrent, kernel]).T, 4)
        b_i, b_f, b_c, b_o = np.split(bias, 4)
        gate, activation = ACTIVATIONS[settings.recurrent_activation], ACTIVATIONS[settings.activation]
        return cls(W_f, W_i, W_c, W_o, b_f, b_i, b_c, b_o, gate, activation)

    def step(self, x: Array, h: Array, C: Array) -> tuple[Array, Array]:
        """Return the next h and C, [batch, units], from x, [batch, features], and the last ones."""
        hx = np.concatenate([h, x], axis=1)
        f = self.gate(hx @ self.W_f.T + self.b_f)
        i = self.gate(hx @ self.W_i.T + self.b_i)
        c = self.activation(hx @ self.W_c.T + self.b_c)
        C = f * C + i * c
        o = self.gate(hx @ self.W_o.T + self.b_o)
        return o * self.activation(C), C

    def run(self, steps: Array, present: NDArray[np.bool_], backwards: bool) -> tuple[Array, Array]:
        """Return h behind every step, [batch, steps, units], and behind the one read last, [batch, units].

        Args:
            steps: [batch, steps, features].
            present: [batch, steps], False where a step leaves the state as it is.
            backwards: whether the steps are read from the end.
        """
        batch, count, _ = steps.shape
        states = np.zeros((batch, count, len(self.b_f)))
        h = C = np.zeros((batch, len(self.b_f)))
        for t in reversed(range(count)) if backwards else range(count):
            is_present = present[:, t, np.newaxis]
            new_h, new_C = self.step(steps[:, t], h, C)
            h, C = np.where(is_present, new_h, h), np.where(is_present, new_C, C)
            states[:, t] = h
        return states, h


def answer(
    settings: LetterSettings | ReviewSettings,
    weights: Iterable[NDArray[np.float32]],
    inputs: NDArray[np.generic],
    padding: int,
) -> Array:
    """Return the probabilities, [batch, classes], that the network of some settings gives.

    Args:
        settings: of what the network is built.
        weights: as its `get_weights` returns them, from the inputs to the outputs.
        inputs: what the network reads, [batch, steps, features] or ids, [batch, steps].
        padding: what all the inputs of a step have to be for the step to be masked.
    """
    left = (weight.astype(np.float64) for weight in weights)
    is_padding = inputs == padding
    if isinstance(settings, ReviewSettings):
        steps = next(left)[inputs]
    else:
        steps, is_padding = inputs.astype(np.float64), is_padding.all(axis=2)
        if settings.features:
            steps = np.tanh(steps @ next(left) + next(left))
    present = ~is_padding if settings.mask_padding else np.ones_like(is_padding)
    seen = _read(settings, left, steps, present)
    logits = seen @ next(left) + next(left)
    assert next(left, None) is None, "the network has more weights than its settings say"
    if logits.shape[1] == 1:
        return sigmoid(logits)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def _read(settings: StackSettings, left: Iterator[Array], steps: Array, present: NDArray[np.bool_]) -> Array:
    """Return what the classifier sees, [batch, features]."""
    directions = (False, True) if settings.bidirectional else (False,)
    last = steps
    for _ in (settings.units, *settings.further_units):
        runs = [Cell.take(settings, left).run(steps, present, backwards) for backwards in directions]
        steps, last = (np.concatenate(outputs, axis=-1) for outputs in zip(*runs, strict=True))
        if settings.normalisation != "none":
            normalise = _take_normalisation(settings, left)
            steps, last = normalise(steps), normalise(last)
    if settings.pooling == "last":
        return last
    rows = [row[is_present] for row, is_present in zip(steps, present, strict=True)]
    return np.stack([np.concatenate([row.mean(axis=0), row.max(axis=0)]) for row in rows])


def _take_normalisation(settings: StackSettings, left: Iterator[Array]) -> Activation:
    """Return the normalisation, over the last axis, with Keras' next weights."""
    gamma, beta = next(left), next(left)
    if settings.normalisation == "batch":
        mean, variance = next(left), next(left)
        return lambda x: gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta
    return lambda x: (
        gamma * (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + EPSILON) + beta
    )
