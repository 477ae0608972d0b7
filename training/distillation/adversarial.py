"""Adversarial and virtual adversarial training of review networks.

Sources: Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised Text Classification";
Kurakin, Goodfellow and Bengio 2017, "Adversarial Machine Learning at Scale", for moving only a part of each batch.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from training.networks.builders import find_embedding
from training.recipes.staged import TuningSettings

_FIRST_STEP = 0.1  # length of the random step before the gradient is measured
_LEAST = 1e-7


class AdversarialNetwork(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A review network whose output is the loss of a batch, float32 [], including the adversarial loss.

    In training, only the word vectors of the first half of a batch are moved; this takes half the time of running the
    whole batch moved and unmoved. The step goes in the direction that raises the loss most: away from the label
    (`supervised`), or away from the network's own answer (`virtual`). A batch has the ids, int32 [batch, words], and
    the labels, float32 [batch, outputs]: probabilities, or `training.distillation.corpus.UNLABELLED`.
    """

    def __init__(self, network: keras.Model, settings: TuningSettings, seed: int) -> None:
        """Take the network to train, made by `training.networks.builders.build_review_network`."""
        super().__init__(name="adversarial")
        self.network = network
        self._embedding = find_embedding(network)
        self._dropout = next(layer for layer in network.layers if isinstance(layer, layers.SpatialDropout1D))
        self._behind = keras.Model([self._dropout.output, network.inputs[0]], network.outputs)
        self._settings = settings
        self._random = keras.random.SeedGenerator(seed)

    def call(self, batch: tuple[keras.KerasTensor, keras.KerasTensor], training: bool = False) -> keras.KerasTensor:
        """Return the mean cross-entropy over the labelled reviews, plus the weighted mean over the moved reviews."""
        ids, labels = batch
        vectors = self._embedding(ids)
        words = self._dropout(vectors, training=training)
        counted, aims = ops.cast(labels[:, :1] >= 0, words.dtype), ops.maximum(labels, 0)
        if not training or self._settings.adversarial == "none":
            return _mean(_cross_entropy(aims, self._behind([words, ids], training=training)), counted)
        half = ops.shape(ids)[0] // 2
        moved, against, counted_moved = self._move(
            words[:half], ids[:half], aims[:half], counted[:half], vectors[:half]
        )
        answers = self._behind([ops.concatenate([moved, words[half:]]), ids], training=True)
        loss = _mean(_cross_entropy(aims[half:], answers[half:]), counted[half:])
        worst = _mean(_cross_entropy(against, answers[:half]), counted_moved)
        return loss + self._settings.adversarial_weight * worst

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> keras.KerasTensor:
        """Return the output, which already is the loss."""
        del x, y
        return y_pred

    def _move(
        self,
        words: keras.KerasTensor,
        ids: keras.KerasTensor,
        aims: keras.KerasTensor,
        counted: keras.KerasTensor,
        vectors: keras.KerasTensor,
    ) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
        """Return words moved away from their targets, the targets, and which reviews count, both [batch, 1].

        The length of the step in the settings is for vectors whose components have a root mean square of 1.
        """
        present = ops.cast(ops.not_equal(ids, 0), words.dtype)[:, :, None]
        start = ops.zeros_like(words)
        if self._settings.adversarial == "virtual":
            aims, counted = ops.stop_gradient(self._behind([words, ids], training=False)), ops.ones_like(counted)
            # At the answer itself the distance is least, so its gradient is measured a small step away from it.
            start = _FIRST_STEP * _normalise(keras.random.normal(ops.shape(words), seed=self._random) * present)

        def distance(step: keras.KerasTensor) -> keras.KerasTensor:
            return _mean(_cross_entropy(aims, self._behind([words + step, ids], training=False)), counted)

        scale = ops.sqrt(ops.sum(ops.square(vectors) * present) / (ops.sum(present) * vectors.shape[-1]))
        step = _normalise(find_gradient(distance, start) * present)
        return words + self._settings.epsilon * ops.stop_gradient(scale) * step, aims, counted


def find_gradient(
    function: Callable[[keras.KerasTensor], keras.KerasTensor], at: keras.KerasTensor
) -> keras.KerasTensor:
    """Return the gradient of a scalar function at a tensor, as a constant; on any backend."""
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
    # Divided by the largest value first, because squares of gradients are too small for float32.
    scaled = steps / (ops.max(ops.abs(steps), axis=(1, 2), keepdims=True) + 1e-30)
    return scaled / ops.sqrt(ops.sum(scaled * scaled, axis=(1, 2), keepdims=True) + 1e-12)


def _cross_entropy(labels: keras.KerasTensor, answers: keras.KerasTensor) -> keras.KerasTensor:
    """Return the loss of each row, [batch, 1]; one output is the probability of the second of two labels."""
    answers = ops.clip(answers, _LEAST, 1 - _LEAST)
    if answers.shape[-1] > 1:
        return -ops.sum(labels * ops.log(answers), axis=-1, keepdims=True)
    return -(labels * ops.log(answers) + (1 - labels) * ops.log(1 - answers))


def _mean(values: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1)
