"""Review networks trained against what would change their answers most: adversarial and virtual adversarial training.

Sources: Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification";
Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization".
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from training.settings import TuningSettings

UNLABELLED = -1.0

_FIRST_STEP = 0.1  # length of the random step at whose end the direction is measured
_LEAST = 1e-7


class AdversarialNetwork(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A review network whose loss also counts its answers to word vectors that were moved the worst way.

    With labels the worst way is that away from the label (`supervised`); without, it is that away from the network's
    own answer (`virtual`). Labels are probabilities of positive, float32 [batch, 1], or `UNLABELLED`.
    """

    def __init__(self, network: keras.Model, settings: TuningSettings, seed: int) -> None:
        """Take the network that is trained, of `training.networks.build_review_network`."""
        super().__init__(name="adversarial")
        self.network = network
        self._embedding = next(layer for layer in network.layers if isinstance(layer, layers.Embedding))
        self._behind = keras.Model([self._embedding.output, network.inputs[0]], network.outputs)
        self._settings = settings
        self._random = keras.random.SeedGenerator(seed)

    def call(self, ids: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Return the probabilities of positive, float32 [batch, 1]."""
        return self._behind([self._embedding(ids), ids], training=training)

    def compute_loss(
        self,
        x: keras.KerasTensor = None,
        y: keras.KerasTensor = None,
        y_pred: keras.KerasTensor = None,
        sample_weight: keras.KerasTensor = None,
        training: bool = True,
    ) -> keras.KerasTensor:
        """Return the mean over a batch of the cross-entropy, and while training, of that of the worst case."""
        del sample_weight
        is_labelled = ops.cast(y >= 0, y_pred.dtype)
        labels = ops.maximum(y, 0)
        loss = _mean(_cross_entropy(labels, y_pred), is_labelled)
        if not training or self._settings.adversarial == "none":
            return loss
        words = self._embedding(x)
        is_virtual = self._settings.adversarial == "virtual"
        aims, counted = labels, is_labelled
        if is_virtual:
            aims, counted = ops.stop_gradient(self._behind([words, x], training=False)), ops.ones_like(is_labelled)
        present = ops.cast(ops.not_equal(x, 0), words.dtype)[:, :, None]

        def distance(step: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
            moved = self._behind([words + step, x], training=training)
            return _mean(_cross_entropy(aims, moved), counted)

        start = ops.zeros_like(words)
        if is_virtual:
            # At the answer itself the distance is least, so its gradient is measured a small step away from it.
            start = _FIRST_STEP * _normalise(keras.random.normal(ops.shape(words), seed=self._random) * present)
        worst = self._settings.epsilon * _normalise(find_gradient(distance, start) * present)
        return loss + self._settings.adversarial_weight * distance(worst, training=True)


def find_gradient(
    function: Callable[[keras.KerasTensor], keras.KerasTensor], at: keras.KerasTensor
) -> keras.KerasTensor:
    """Return the gradient of a function, which gives one number, at a tensor, as a constant; on any backend."""
    name = keras.backend.backend()
    backend: Any = importlib.import_module(name)
    if name == "tensorflow":
        with backend.GradientTape() as tape:
            tape.watch(at)
            value = function(at)
        return ops.stop_gradient(tape.gradient(value, at))
    if name == "jax":
        return ops.stop_gradient(backend.grad(function)(at))
    at = at.detach().requires_grad_()
    return backend.autograd.grad(function(at), at)[0]


def _normalise(steps: keras.KerasTensor) -> keras.KerasTensor:
    """Return steps of length 1 over a whole review, [batch, words, components]."""
    # Divided by the largest first: squares of gradients are too small for float32.
    scaled = steps / (ops.max(ops.abs(steps), axis=(1, 2), keepdims=True) + 1e-30)
    return scaled / ops.sqrt(ops.sum(scaled * scaled, axis=(1, 2), keepdims=True) + 1e-12)


def _cross_entropy(labels: keras.KerasTensor, answers: keras.KerasTensor) -> keras.KerasTensor:
    answers = ops.clip(answers, _LEAST, 1 - _LEAST)
    return -(labels * ops.log(answers) + (1 - labels) * ops.log(1 - answers))


def _mean(values: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1)
