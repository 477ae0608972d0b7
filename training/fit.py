"""The one fit loop."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training.recipes import TrainingSettings

History = dict[str, list[float]]


@dataclass(frozen=True)
class Examples:
    """Inputs of a network and the class of each, or in training of two classes the probability of the second.

    Labels are int32 or float32 [examples].
    """

    inputs: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int32] | NDArray[np.float32]

    def take(self, indices: NDArray[np.intp]) -> "Examples":
        """Return the examples at these indices, in their order."""
        return Examples(self.inputs[indices], self.labels[indices])

    def join(self, others: "Examples") -> "Examples":
        """Return these examples and then the others."""
        return Examples(
            np.concatenate([self.inputs, others.inputs]), np.concatenate([self.labels, others.labels], dtype=np.float32)
        )


def fit(
    network: keras.Model, settings: TrainingSettings, training: Examples, held_out: Examples | None = None
) -> History:
    """Train a network in place and return loss and accuracy by epoch, `val_` before those of the held-out part."""
    two_classes = network.output_shape[-1] == 1
    # A second model of the same layers is compiled, so that the network is saved without its optimiser.
    model = keras.Model(network.inputs, network.outputs)
    model.compile(
        optimizer=_make_optimiser(settings, len(training.labels)),
        loss="binary_crossentropy" if two_classes else "sparse_categorical_crossentropy",
        metrics=[keras.metrics.MeanMetricWrapper(_agree, "accuracy") if two_classes else "accuracy"],
        # A step compiled by XLA is also deterministic, which the separate operations of TensorFlow are not.
        jit_compile=True,
        steps_per_execution=settings.steps_per_call,
    )
    callbacks: list[keras.callbacks.Callback] = []
    if settings.patience is not None:
        watched = "loss" if held_out is None else "val_loss"
        callbacks.append(keras.callbacks.EarlyStopping(watched, patience=settings.patience, restore_best_weights=True))
    history = model.fit(
        training.inputs,
        training.labels,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=None if held_out is None else (held_out.inputs, held_out.labels),
        callbacks=callbacks,
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def _make_optimiser(settings: TrainingSettings, examples: int) -> keras.optimizers.Optimizer:
    steps = settings.epochs * -(-examples // settings.batch_size)
    rate = settings.learning_rate
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[settings.optimiser]
    return kind(
        keras.optimizers.schedules.CosineDecay(rate, steps) if settings.schedule == "cosine" else rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
    )


def _agree(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Return whether label and answer fall on the same side; that of Keras takes no label between 0 and 1."""
    truths = ops.reshape(ops.cast(labels, probabilities.dtype), ops.shape(probabilities))
    return ops.equal(truths >= 0.5, probabilities >= 0.5)
