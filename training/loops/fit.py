"""The fit loop of Keras networks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from rich.console import Console

from training.data.examples import Examples
from training.loops.progress import Progress
from training.recipes.stack import TrainingSettings

_OPTIMISERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}
_LOSSES = {
    "cross-entropy": (keras.losses.binary_crossentropy, keras.losses.categorical_crossentropy),
    "squared-error": (keras.losses.mean_squared_error, keras.losses.mean_squared_error),
}

# A step compiled by XLA is also deterministic; the separate operations of TensorFlow are not.
COMPILES = keras.backend.backend() != "torch"

History = dict[str, list[float]]


def fit(
    network: keras.Model,
    settings: TrainingSettings,
    training: Examples,
    held_out: Examples | None = None,
    console: Console | None = None,
) -> History:
    """Train a network in place and return loss and accuracy by epoch; `val_` marks the figures of the held-out part.

    If the examples have targets, it learns those; the likeliest label of the targets then counts as right.

    The console shows the progress; without one there is none. A stateful network starts every epoch from a state of
    zeros.
    """
    classes = network.output_shape[-1]
    is_soft = training.targets is not None
    # Compile a second model with the same layers, so that the network is saved without its optimiser.
    model = keras.Model(network.inputs, network.outputs)
    model.compile(
        optimizer=make_optimiser(settings, len(training.labels)),
        loss=_make_loss(settings.loss, classes, is_soft),
        metrics=[keras.metrics.MeanMetricWrapper(_count_right, "accuracy") if is_soft else "accuracy"],
        jit_compile=COMPILES,
        steps_per_execution=settings.steps_per_call,
    )
    stateful = [layer for layer in network.layers if getattr(layer, "stateful", False)]
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: [layer.reset_states() for layer in stateful])
    ]
    if settings.patience is not None:
        watched = "loss" if held_out is None else "val_loss"
        callbacks.append(keras.callbacks.EarlyStopping(watched, patience=settings.patience, restore_best_weights=True))
    progress = Progress(console or Console(quiet=True), settings.epochs)
    with interrupted_between_steps() as interruption, progress:
        history = model.fit(
            training.inputs,
            _take_targets(training, classes, is_soft),
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_data=held_out and (held_out.inputs, _take_targets(held_out, classes, is_soft)),
            shuffle=settings.shuffle,
            callbacks=[*callbacks, progress, interruption],
            verbose=0,
        )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


Handler = Callable[[int, FrameType | None], object]


class _Interruption(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Handles a signal after the step in which it came."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: dict[int, Handler] = {}
        self._came: int | None = None

    def replace(self, number: int, handler: Handler) -> None:
        self._handlers[number] = handler
        signal.signal(number, self._note)

    def restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def interrupt(self) -> None:
        if self._came is not None:
            self._handlers[self._came](self._came, None)

    def _note(self, number: int, _: object) -> None:
        self._came = number

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        del batch, logs
        self.interrupt()


@contextmanager
def interrupted_between_steps() -> Iterator[_Interruption]:
    """Delay Ctrl-C and SIGTERM until a step ends.

    Otherwise memory would be freed while TensorFlow's threads still write to it. Signals without a handler of Python
    are left as they are.
    """
    interruption = _Interruption()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)) and not isinstance(handler, signal.Handlers):
                interruption.replace(number, handler)
    try:
        yield interruption
    finally:
        interruption.restore()
    interruption.interrupt()


def make_optimiser(settings: TrainingSettings, examples: int) -> keras.optimizers.Optimizer:
    """Return the optimiser of a training with this number of examples an epoch."""
    steps = settings.epochs * -(-examples // settings.batch_size)
    rate = settings.learning_rate
    kind = _OPTIMISERS[settings.optimiser]
    return kind(
        keras.optimizers.schedules.CosineDecay(rate, steps) if settings.schedule == "cosine" else rate,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip_norm,
    )


def _take_targets(examples: Examples, classes: int, is_soft: bool) -> NDArray[np.float32] | NDArray[np.int32]:
    """Return what a network learns: labels, [examples], or if some are soft, probabilities, [examples, classes]."""
    if examples.targets is not None or not is_soft:
        return examples.labels if examples.targets is None else examples.targets
    if classes == 1:
        return examples.labels[:, np.newaxis].astype(np.float32)
    return np.eye(classes, dtype=np.float32)[examples.labels]


def _count_right(targets: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
    """Return where the likeliest label of targets and probabilities is the same, [batch]."""
    if probabilities.shape[-1] == 1:
        return ops.equal(targets >= 0.5, probabilities >= 0.5)[:, 0]
    return ops.equal(ops.argmax(targets, axis=-1), ops.argmax(probabilities, axis=-1))


def _make_loss(
    name: Literal["cross-entropy", "squared-error"], classes: int, is_soft: bool
) -> Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]:
    """Return a loss of labels, [batch], and probabilities, [batch, classes], or [batch, 1] for two classes.

    If they are soft, the labels have the shape of the probabilities.
    """
    of_two, of_many = _LOSSES[name]
    if classes == 1 or is_soft:
        return of_two if classes == 1 else of_many  # type: ignore[no-any-return]  # Keras has no types

    def compute(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        return of_many(ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), classes), probabilities)

    return compute
