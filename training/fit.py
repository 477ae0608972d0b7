"""The one fit loop."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from training.recipes import TrainingSettings

History = dict[str, list[float]]


@dataclass(frozen=True)
class Examples:
    """Inputs of a network and the class of each: int32 [examples], 0 or 1 where there is one output."""

    inputs: NDArray[np.float32] | NDArray[np.int32]
    labels: NDArray[np.int32]

    def take(self, indices: NDArray[np.intp]) -> "Examples":
        """Return the examples at these indices, in their order."""
        return Examples(self.inputs[indices], self.labels[indices])


def fit(
    network: keras.Model, settings: TrainingSettings, training: Examples, held_out: Examples | None = None
) -> History:
    """Train a network in place and return loss and accuracy by epoch, `val_` before those of the held-out part."""
    # A second model of the same layers is compiled, so that the network is saved without its optimiser.
    model = keras.Model(network.inputs, network.outputs)
    model.compile(
        optimizer=_make_optimiser(settings, len(training.labels)),
        loss="binary_crossentropy" if network.output_shape[-1] == 1 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # A step compiled by XLA is also deterministic, which the separate operations of TensorFlow are not.
        jit_compile=True,
        steps_per_execution=settings.steps_per_call,
    )
    callbacks: list[keras.callbacks.Callback] = []
    if settings.patience is not None:
        watched = "loss" if held_out is None else "val_loss"
        callbacks.append(keras.callbacks.EarlyStopping(watched, patience=settings.patience, restore_best_weights=True))
    if settings.weight_average is not None and held_out is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights())  # the held-out part sees the weights that are saved
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
        global_clipnorm=settings.clip_norm,
        use_ema=settings.weight_average is not None,
        ema_momentum=settings.weight_average or 0.0,
    )
