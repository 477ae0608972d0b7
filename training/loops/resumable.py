"""A training that continues where it was stopped, with the same result as an uninterrupted one."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from rich.console import Console

from training.errors import CheckpointError, DivergedError
from training.files import replacing
from training.loops.fit import History, interrupted_between_steps


class Batches(Protocol):
    """The batches of an epoch, each a tuple of arrays; they depend only on the number of the epoch."""

    epoch: int

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return one batch of the epoch."""


class AveragingAdam(keras.optimizers.Adam):  # type: ignore[misc]  # Keras has no types
    """Adam that can train some weights slower, and averages all weights over the steps.

    Keras' own averaging would replace the weights by their average after every `fit`, here after every epoch.
    """

    def __init__(self, *arguments: Any, momentum: float, shares: Sequence[float], **options: Any) -> None:
        """Take Adam's arguments, the momentum of the average, and a factor of the learning rate for each weight."""
        super().__init__(*arguments, use_ema=True, ema_momentum=momentum, **options)
        self._shares = tuple(shares)

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Train a weight for a step."""
        super().update_step(gradient, variable, learning_rate * self._shares[self._get_variable_index(variable)])

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Leave the weights as they are."""

    def give_average(self, weights: list[keras.Variable]) -> None:
        """Replace weights by their average."""
        super().finalize_variable_values(weights)
        for weight in weights:  # on JAX weight and average now share one array, which the next run would consume
            weight.assign(keras.ops.copy(weight))

    @contextmanager
    def averaged(self, weights: list[keras.Variable]) -> Iterator[None]:
        """Replace weights by their average while the block runs."""
        values = [keras.ops.convert_to_numpy(weight).copy() for weight in weights]
        self.give_average(weights)
        try:
            yield
        finally:
            for weight, value in zip(weights, values, strict=True):
                weight.assign(value)


def fit_resumably(
    network: keras.Model,
    batches: Batches,
    epochs: int,
    checkpoint: Path,
    console: Console,
    measure: Callable[[], dict[str, float]] = dict,
) -> History:
    """Train a compiled network to its last epoch, from the first epoch that is not in the file; return the history.

    To estimate the time, a few steps are first timed and undone. After every epoch the whole state is saved: weights,
    states of random numbers, optimiser and history. The history also has `seconds` and the figures of `measure`.

    Raises:
        CheckpointError: the file belongs to another network.
        DivergedError: the loss is not a finite number.
    """
    network.optimizer.build(network.trainable_variables)
    # The network's variables include the random states of dropout.
    variables = [*network.variables, *network.optimizer.variables]
    done, history = _restore(checkpoint, variables)
    with interrupted_between_steps() as interruption:
        if done < epochs:
            batches.epoch = done
            minutes = (epochs - done) * time_epoch(network, batches, interruption) / 60
            left = f"{epochs - done} checkpoints to go, about {minutes:.0f} min"
            console.print(
                f"{left}; if stopped, the same command continues from the last one", highlight=False, soft_wrap=True
            )
        for epoch in range(done, epochs):
            batches.epoch = epoch
            started = time.monotonic()
            # Not all epochs in one call: TensorFlow asks for batches before their epoch begins.
            fitted = network.fit(
                batches,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                callbacks=[interruption],
                verbose=int(console.is_terminal and not console.quiet),
            )
            figures = {name: value for name, (value,) in fitted.history.items()} | measure()
            if not np.isfinite(figures["loss"]):
                loss, number = figures["loss"], epoch + 1
                raise DivergedError(f"the loss is {loss} before checkpoint {number}; set a smaller learning_rate")
            for name, value in (figures | {"seconds": time.monotonic() - started}).items():
                history.setdefault(name, []).append(float(value))
            _save(checkpoint, variables, epoch + 1, history)
            minutes = (epochs - epoch - 1) * np.median(history["seconds"]) / 60
            state = ", ".join(f"{name} {value:.4f}" for name, value in figures.items()) + f", {minutes:.0f} min left"
            console.print(f"checkpoint {epoch + 1} of {epochs}: {state}", highlight=False, soft_wrap=True)
    return history


class _Picked(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Some batches of an epoch."""

    def __init__(self, batches: Batches, indices: Sequence[int]) -> None:
        super().__init__()
        self._batches = batches
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self._batches[self._indices[index]]


class _Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """The seconds of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        del batch, logs
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        del batch, logs
        self.seconds.append(time.monotonic() - self._started)


def time_epoch(network: keras.Model, batches: Batches, interruption: keras.callbacks.Callback) -> float:
    """Return the estimated seconds of an epoch, from one step per shape of batch.

    Afterwards the variables of the network and of its optimiser, which must be built, are as before.
    """
    variables = [*network.variables, *network.optimizer.variables]
    first = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    of_shape: dict[tuple[int, ...], list[int]] = {}
    for index in range(len(batches)):
        of_shape.setdefault(keras.tree.flatten(batches[index])[0].shape, []).append(index)
    picked = [indices[0] for indices in of_shape.values()]
    stopwatch = _Stopwatch()
    # The first step of each shape may include compilation, so the second one is timed.
    network.fit(_Picked(batches, picked * 2), shuffle=False, callbacks=[stopwatch, interruption], verbose=0)
    for variable, value in zip(variables, first, strict=True):
        variable.assign(value)
    steps = stopwatch.seconds[len(picked) :]
    return sum(len(indices) * seconds for indices, seconds in zip(of_shape.values(), steps, strict=True))


def read_history(checkpoint: Path) -> History:
    """Return the history of a finished training."""
    with np.load(checkpoint) as saved:
        history: History = json.loads(str(saved["done"]))["history"]
    return history


def _restore(path: Path, variables: list[keras.Variable]) -> tuple[int, History]:
    """Restore variables from a file, if it exists; return the number of finished epochs and their history."""
    if not path.exists():
        return 0, {}
    with np.load(path) as saved:
        done = json.loads(str(saved["done"]))
        if done["shapes"] != [list(variable.shape) for variable in variables]:
            raise CheckpointError(f"{path} belongs to another network; remove it to begin the training again")
        for number, variable in enumerate(variables):
            variable.assign(saved[str(number)])
    return done["epochs"], done["history"]


def _save(path: Path, variables: list[keras.Variable], epochs: int, history: History) -> None:
    """Replace the file of a checkpoint."""
    values = {str(number): keras.ops.convert_to_numpy(variable) for number, variable in enumerate(variables)}
    done = {"epochs": epochs, "history": history, "shapes": [list(variable.shape) for variable in variables]}
    with replacing(path) as file:
        np.savez(file, done=json.dumps(done), **values)
