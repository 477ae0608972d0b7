"""The one fit loop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _interrupted_between_steps() as interruption:
        history = model.fit(
            training.inputs,
            training.labels,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_data=None if held_out is None else (held_out.inputs, held_out.labels),
            callbacks=[*callbacks, interruption],
        )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


class _Interruption(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Raises KeyboardInterrupt after the step in which Ctrl-C was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self._pressed = False

    def press(self, *_: object) -> None:
        self._pressed = True

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        del batch, logs
        if self._pressed:
            raise KeyboardInterrupt


@contextmanager
def _interrupted_between_steps() -> Iterator[_Interruption]:
    """Keep Ctrl-C from breaking into a step: what TensorFlow's threads still write to would be freed under them."""
    interruption = _Interruption()
    previous = signal.getsignal(signal.SIGINT)
    replaced = previous is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if replaced:
        signal.signal(signal.SIGINT, interruption.press)
    try:
        yield interruption
    finally:
        if replaced:
            signal.signal(signal.SIGINT, previous)


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
