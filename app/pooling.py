"""What a Keras network pools over time of the outputs of an LSTM: found, and pooled as they are computed.

Written down for all steps, the outputs of a batch are megabytes that go through a processor's cache several times, most
of them for padding. Pooled step by step they never leave it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers, tree
from numpy.typing import NDArray

Reduction = Literal["sum", "mean", "max"]

# Operations that compute a step of their outputs from the same step of their inputs, and a feature from the same
# feature or an only one. Keras publishes them as functions; the classes in its graphs are known by these names.
_STEPWISE = {
    "Add",
    "Cast",
    "Divide",
    "Equal",
    "ExpandDims",
    "Maximum",
    "Minimum",
    "Multiply",
    "Negative",
    "NotEqual",
    "Subtract",
    "TrueDivide",
    "Where",
}
_REDUCTIONS: dict[str, Reduction] = {
    "Sum": "sum",
    "Mean": "mean",
    "Max": "max",
    "GlobalAveragePooling1D": "mean",
    "GlobalMaxPooling1D": "max",
}
_NOTHING: dict[Reduction, float] = {"sum": 0.0, "mean": 0.0, "max": -np.inf}  # what is pooled of no step


@dataclass(frozen=True)
class Pool:
    """Something pooled over time of the outputs of one LSTM, or of each direction of a bidirectional one.

    `values` maps any steps of the network's inputs, [batch, steps, ...], and of the LSTM's outputs, [batch, steps,
    units], to what is pooled, [batch, steps, units]. `lstm` and `call` are the numbers that `walk` gives to the
    LSTM and to what pools.
    """

    values: keras.Model
    reduction: Reduction
    lstm: int
    call: int


def walk(network: keras.Model, inputs: keras.KerasTensor, call: Callable[..., Any]) -> keras.Model:
    """Return a Functional network of the same layers on other inputs, each called by `call(number, layer, ...)`."""
    numbers = count()
    return keras.models.clone_model(
        network,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=lambda layer, *args, **kwargs: call(next(numbers), layer, *args, **kwargs),
    )


def find_pools(network: keras.Model) -> list[Pool]:
    """Return what a Functional network of one input pools of the outputs of a single LSTM."""
    inputs = keras.Input(batch_shape=network.input_shape, dtype=network.inputs[0].dtype)
    finder = _Finder(inputs)
    walk(network, inputs, finder.call)
    return finder.pools


class Pooling:
    """Pools the steps of one LSTM as they are run, and the padding before them, which is not."""

    def __init__(
        self, pools: Sequence[Pool], padding: NDArray[np.generic], outputs: NDArray[np.float32] | None
    ) -> None:
        """Take what to pool.

        Args:
            pools: those of the LSTM.
            padding: one step of it, as the network reads it, [1, 1, ...].
            outputs: what the LSTM returns for every step of a row of padding, float32 [steps, units]; None if that
                depends on what follows in a row, and is the same for all its padding.
        """
        self._pools = pools
        self._padding = padding
        # What is pooled of padding before every step and of nothing but padding, float32 [steps + 1, units].
        self._before: list[NDArray[np.float32]] | None = None
        if outputs is not None:
            inputs = np.repeat(padding, len(outputs), axis=1)
            self._before = []
            for pool, values in zip(pools, self._get_values(inputs, outputs[np.newaxis]), strict=True):
                nothing = np.full_like(outputs[:1], _NOTHING[pool.reduction])
                add = np.maximum if pool.reduction == "max" else np.add
                self._before.append(np.concatenate([nothing, add.accumulate(values[0].numpy())]))

    def __len__(self) -> int:
        """Return how much is pooled."""
        return len(self._pools)

    def begin(self, zeros: tf.Tensor) -> list[tf.Tensor]:
        """Return what is pooled of no step, of the shape of these zeros, float32 [batch, units]."""
        return [zeros + _NOTHING[pool.reduction] for pool in self._pools]

    def add(self, pooled: Sequence[tf.Tensor], inputs: tf.Tensor, outputs: tf.Tensor) -> list[tf.Tensor]:
        """Return what is pooled with one step more.

        Args:
            pooled: what is pooled already, float32 [batch, units] each.
            inputs: what the network reads in this step, [batch, ...].
            outputs: what the LSTM returns for it, float32 [batch, units].
        """
        values = self._get_values(inputs[:, tf.newaxis], outputs[:, tf.newaxis])
        return self._combine(pooled, [value[:, 0] for value in values])

    def end(self, pooled: Sequence[tf.Tensor], start: tf.Tensor, outputs: tf.Tensor, steps: int) -> list[tf.Tensor]:
        """Return what is pooled of all steps, once those from the first that is run are.

        Args:
            pooled: what is pooled of those, float32 [batch, units] each.
            start: int32 [], the first that is run.
            outputs: what the LSTM returns for the padding if that depends on a row, float32 [batch, units].
            steps: how many there are in all.
        """
        if self._before is not None:
            before = [tf.gather(values, start)[tf.newaxis] for values in self._before]
        else:
            padding = tf.repeat(self._padding, tf.shape(outputs)[0], axis=0)
            values = [value[:, 0] for value in self._get_values(padding, outputs[:, tf.newaxis])]
            before = [
                tf.where(start > 0, value, _NOTHING[pool.reduction])
                if pool.reduction == "max"
                else value * tf.cast(start, value.dtype)
                for pool, value in zip(self._pools, values, strict=True)
            ]
        return self._divide(self._combine(pooled, before), steps)

    def pool(self, inputs: tf.Tensor, outputs: tf.Tensor) -> list[tf.Tensor]:
        """Return what is pooled of all steps at once: [batch, steps, ...] and float32 [batch, steps, units]."""
        pooled = [
            tf.reduce_max(values, axis=1) if pool.reduction == "max" else tf.reduce_sum(values, axis=1)
            for pool, values in zip(self._pools, self._get_values(inputs, outputs), strict=True)
        ]
        return self._divide(pooled, outputs.shape[1])

    def _get_values(self, inputs: Any, outputs: Any) -> list[tf.Tensor]:
        return [pool.values([inputs, outputs]) for pool in self._pools]

    def _combine(self, pooled: Sequence[tf.Tensor], more: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return [
            tf.maximum(one, other) if pool.reduction == "max" else one + other
            for pool, one, other in zip(self._pools, pooled, more, strict=True)
        ]

    def _divide(self, pooled: Sequence[tf.Tensor], steps: int) -> list[tf.Tensor]:
        return [
            values / steps if pool.reduction == "mean" else values
            for pool, values in zip(self._pools, pooled, strict=True)
        ]


class _Finder:
    """Looks at the calls of a network one after the other."""

    def __init__(self, inputs: keras.KerasTensor) -> None:
        self.pools: list[Pool] = []
        self._inputs = inputs
        self._lstms: dict[int, tuple[keras.KerasTensor, int]] = {}  # the outputs and units, by the number of the call
        # What is computed step by step, with the numbers of the LSTMs that it is computed from.
        self._stepwise: dict[int, set[int]] = {id(inputs): set()}

    def call(self, number: int, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a layer or operation, and note what it does."""
        outputs = layer(*args, **kwargs)
        tensors = [value for value in tree.flatten((args, kwargs)) if isinstance(value, keras.KerasTensor)]
        if not isinstance(outputs, keras.KerasTensor):
            return outputs
        if units := _count_units(layer):
            self._lstms[number] = outputs, units
            self._stepwise[id(outputs)] = {number}
        elif all(id(tensor) in self._stepwise for tensor in tensors):
            sources = set().union(*(self._stepwise[id(tensor)] for tensor in tensors))
            if len(sources) == len(tensors) == 1 and (reduction := _get_reduction(layer, kwargs)):
                self._add(tensors[0], reduction, min(sources), number)
            elif type(layer).__name__ in _STEPWISE and outputs.shape[1:2] == self._inputs.shape[1:2]:
                self._stepwise[id(outputs)] = sources
        return outputs

    def _add(self, pooled: keras.KerasTensor, reduction: Reduction, lstm: int, number: int) -> None:
        outputs, units = self._lstms[lstm]
        inputs = [keras.Input((None, *self._inputs.shape[2:]), dtype=self._inputs.dtype), keras.Input((None, units))]
        try:
            # Keras wants something between what goes in and what comes out.
            whole = keras.Model([self._inputs, outputs], layers.Identity()(pooled))
            values = walk(whole, inputs, lambda _, layer, *args, **kwargs: layer(*args, **kwargs))
        except ValueError:  # it has weights for steps, or for the features of both directions
            return
        if values.output_shape == (None, None, units) and values.outputs[0].dtype == "float32":
            self.pools.append(Pool(values, reduction, lstm, number))


def _count_units(layer: Any) -> int:
    """Return the units of an LSTM that returns its outputs for all steps, or of one direction; 0 of anything else."""
    if type(layer) is layers.Bidirectional:
        layer = layer.forward_layer if layer.merge_mode == "concat" else None
    return layer.units if type(layer) is layers.LSTM and layer.return_sequences and not layer.return_state else 0


def _get_reduction(layer: Any, kwargs: Mapping[str, Any]) -> Reduction | None:
    """Return how a layer or operation reduces [batch, steps, features] over the steps, None if it does not."""
    reduction = _REDUCTIONS.get(type(layer).__name__)
    if reduction is None or layer.keepdims or kwargs.get("mask") is not None:
        return None
    if isinstance(layer, keras.Layer):
        return reduction if layer.data_format == "channels_last" else None
    return reduction if layer.axis in ([1], (1,)) and getattr(layer, "initial", None) is None else None
