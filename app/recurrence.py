"""Keras networks rewritten so that their LSTM layers run only the steps that hold anything but padding.

The answers stay those of the network over its full length. While every row of a batch is still padding, all rows have
the same state, and it does not depend on the request: it is computed once, when a network is rewritten, and the loop
starts from it at the first step that is not padding in some row. That is exact with and without a mask.

Three more things make a step cheap. The product of an embedding with the kernel of the LSTM that reads it is a table of
its own, with a row a word: looking it up replaces half of the multiplications. And a sigmoid is half a tanh,
sigmoid(z) = (1 + tanh(z / 2)) / 2, so with halved weights the four gates are a single tanh.
What a network pools over time is pooled step by step (`app/pooling.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from app.pooling import Pool, Pooling, find_pools, walk

# A table has 16 bytes a word and unit; with one that is larger than this the embedding is multiplied step by step.
TABLE_BYTES = 256 * 1024 * 1024

_MERGES = {"concat": layers.Concatenate, "sum": layers.Add, "mul": layers.Multiply, "ave": layers.Average}
_IDENTITIES = (layers.Dropout, layers.SpatialDropout1D)  # when a network answers


def rewrite(network: keras.Model, padding: NDArray[np.generic]) -> keras.Model:
    """Return a network of the same answers that runs only the steps which are not padding in every row.

    Layers that are not LSTMs with the standard activations are left as they are.

    Args:
        network: a Functional or Sequential one with one input, [batch, steps, ...], and one output.
        padding: the input of a row that is nothing but padding, [1, steps, ...].
    """
    inputs = keras.Input(batch_shape=network.input_shape, dtype=padding.dtype.name)
    functional = keras.Model(network.inputs[0], network.outputs[0])  # a Sequential one cannot be rewritten
    # Pools know one step of padding.
    pools = find_pools(functional) if (padding == padding[:, :1]).all() else []
    return walk(functional, inputs, _Rewriter(inputs, padding, pools).call)


def follows_length(rewritten: keras.Model) -> bool:
    """Return whether a rewritten network takes as long as its longest row, as no recurrent layer runs the padding."""
    others = any(isinstance(layer, (layers.RNN, layers.Bidirectional)) for layer in rewritten.layers)
    trimmed = [layer.starts_late for layer in rewritten.layers if isinstance(layer, TrimmedLSTM)]
    return bool(trimmed) and all(trimmed) and not others


class _Rewriter:
    """Calls the layers of a network one after the other, its LSTMs replaced."""

    def __init__(self, inputs: keras.KerasTensor, padding: NDArray[np.generic], pools: Sequence[Pool]) -> None:
        self._inputs = inputs
        self._padding = padding
        self._pools = pools
        self._pooled: dict[int, keras.KerasTensor] = {}  # by the number of the call that pools
        self._start: keras.KerasTensor | int = _FirstStep(padding)(inputs)
        self._lookups: dict[int, tuple[keras.KerasTensor, NDArray[np.float32]]] = {}

    def call(self, number: int, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what replaces the outputs of a layer for these inputs."""
        if number in self._pooled:
            return self._pooled[number]
        extra = {name for name, value in kwargs.items() if value is not None} - {"mask", "training"}
        if len(args) == 1 and not extra:
            (inputs,), mask = args, kwargs.get("mask")
            if isinstance(layer, _IDENTITIES):
                return inputs
            pools = [pool for pool in self._pools if pool.lstm == number]
            if _is_standard(layer, go_backwards=False):
                ((outputs, *pooled),) = self._replace([layer], inputs, mask, pools)
                self._pooled |= {pool.call: tensor for pool, tensor in zip(pools, pooled, strict=True)}
                return outputs
            if type(layer) is layers.Bidirectional and layer.merge_mode in _MERGES:
                lstms = layer.forward_layer, layer.backward_layer
                if _is_standard(lstms[0], go_backwards=False) and _is_standard(lstms[1], go_backwards=True):
                    outputs, *pooled = zip(*self._replace(lstms, inputs, mask, pools), strict=True)
                    for pool, directions in zip(pools, pooled, strict=True):
                        concatenate = layers.Concatenate(name=f"{layer.name}_pooled_{pool.call}")
                        self._pooled[pool.call] = concatenate(list(directions))
                    return _MERGES[layer.merge_mode](name=layer.name)(list(outputs))
        outputs = layer(*args, **kwargs)
        if type(layer) is layers.Embedding:
            # Not its weights, which may be of 8 bits.
            self._lookups[id(outputs)] = args[0], layer(np.arange(layer.input_dim)).numpy()
        return outputs

    def _replace(
        self,
        lstms: Sequence[layers.LSTM],
        inputs: keras.KerasTensor,
        mask: keras.KerasTensor | None,
        pools: Sequence[Pool],
    ) -> list[list[keras.KerasTensor]]:
        """Return what replaces the outputs of layers that read the same inputs, and what is pooled of them."""
        steps = self._run_on_padding(inputs)[0]
        present = None if mask is None else self._run_on_padding(mask)[0]
        ids, embeddings = self._lookups.get(id(inputs), (None, None))
        outputs = []
        for lstm in lstms:
            weights = LSTMWeights.of(lstm)
            if lstm.go_backwards and (present is None or present.any()):
                # Read from its end, a row's padding comes after its words: its state there is the row's own, and so is
                # what later layers read there.
                self._start = 0
            states = weights.run(steps, present)
            zero_masked = lstm.zero_output_for_mask and mask is not None
            source = inputs
            if embeddings is not None and len(embeddings) * weights.kernel.shape[1] * 4 <= TABLE_BYTES:
                source, weights = ids, weights.look_up(embeddings)
            padding_outputs = None if lstm.go_backwards else states[0][1:] * (not zero_masked)
            pooling = Pooling(pools, self._padding[:, :1], padding_outputs)
            trimmed = TrimmedLSTM(
                weights,
                states,
                lstm.return_sequences,
                lstm.go_backwards,
                zero_masked,
                pooling,
                starts_late=isinstance(self._start, keras.KerasTensor),
                name=f"trimmed_{lstm.name}",
            )
            outputs.append(trimmed(source, start=self._start, mask=mask, network_inputs=self._inputs))
        return outputs

    def _run_on_padding(self, outputs: keras.KerasTensor) -> NDArray[Any]:
        values: NDArray[Any] = keras.Model(self._inputs, outputs)(self._padding).numpy()
        return values


def _is_standard(layer: Any, go_backwards: bool) -> bool:
    """Return whether a layer is an LSTM that `TrimmedLSTM` computes."""
    return (
        type(layer) is layers.LSTM
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and layer.go_backwards == go_backwards
        and not (layer.stateful or layer.return_state)
        and not (layer.zero_output_for_mask and not layer.return_sequences)
        and layer.compute_dtype == "float32"
    )


@dataclass(frozen=True)
class LSTMWeights:
    """The weights of one LSTM layer; the columns of all are the gates input, forget, candidate, output.

    `kernel` is float32 [features, 4 * units], or if `is_table` that of a row a word, [words, 4 * units], which has the
    bias in it; `recurrent` is [units, 4 * units], `bias` [4 * units].
    """

    kernel: NDArray[np.float32]
    recurrent: NDArray[np.float32]
    bias: NDArray[np.float32]
    is_table: bool = False

    @classmethod
    def of(cls, lstm: layers.LSTM) -> "LSTMWeights":
        """Return the weights of a layer."""
        cell = lstm.cell
        bias = cell.bias.numpy() if cell.use_bias else np.zeros(4 * cell.units, np.float32)
        return cls(cell.kernel.numpy(), cell.recurrent_kernel.numpy(), bias)

    def look_up(self, embeddings: NDArray[np.float32]) -> "LSTMWeights":
        """Return the weights for the ids of words, embedded by float32 [words, features]."""
        table = embeddings @ self.kernel + self.bias
        return LSTMWeights(table, self.recurrent, np.zeros_like(self.bias), is_table=True)

    def run(
        self, steps: NDArray[np.float32], present: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the states of one row before every step and after the last.

        Args:
            steps: float32 [steps, features].
            present: bool [steps], False where a step is masked.

        Returns:
            The hidden and the carry state, each float32 [steps + 1, units].
        """
        units = len(self.recurrent)
        hidden, carry = np.zeros((2, len(steps) + 1, units), np.float32)
        projected = steps @ self.kernel + self.bias
        for step in range(len(steps)):
            if present is not None and not present[step]:
                hidden[step + 1], carry[step + 1] = hidden[step], carry[step]
                continue
            gates = projected[step] + hidden[step] @ self.recurrent
            input_gate, forget_gate, candidate, output_gate = gates.reshape(4, units)
            carry[step + 1] = _sigmoid(forget_gate) * carry[step] + _sigmoid(input_gate) * np.tanh(candidate)
            hidden[step + 1] = _sigmoid(output_gate) * np.tanh(carry[step + 1])
        return hidden, carry


def _sigmoid(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    halves: NDArray[np.float32] = np.tanh(numbers * np.float32(0.5)) * np.float32(0.5)
    return halves + np.float32(0.5)


def _transpose_steps(tensor: tf.Tensor) -> tf.Tensor:
    """Return [steps, batch, ...] of [batch, steps, ...]."""
    return tf.transpose(tensor, [1, 0, *range(2, len(tensor.shape))])


class _FirstStep(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Finds the first step that is not padding in every row, int32 []; the number of steps if there is none."""

    def __init__(self, padding: NDArray[np.generic]) -> None:
        super().__init__(name="first_step")
        self._padding = tf.constant(padding)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        del inputs
        return keras.KerasTensor((), "int32")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        different = inputs != self._padding
        filled = tf.reduce_any(different, axis=[axis for axis in range(len(inputs.shape)) if axis != 1])
        steps = inputs.shape[1]
        return tf.reduce_min(tf.where(filled, tf.range(steps), steps))


class TrimmedLSTM(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """An LSTM that starts at a step given with its inputs, from the state that the padding before it leaves."""

    def __init__(
        self,
        weights: LSTMWeights,
        states: tuple[NDArray[np.float32], NDArray[np.float32]],
        return_sequences: bool,
        go_backwards: bool,
        zero_masked: bool,
        pooling: Pooling,
        starts_late: bool,
        name: str,
    ) -> None:
        """Take the weights, and the states of a row of nothing but padding before every step: see `LSTMWeights.run`.

        With `go_backwards` the steps are run from the last, from a state of zeros. Sequences are returned in the
        order of the steps either way.
        """
        super().__init__(name=name)
        self.supports_masking = True
        self.starts_late = starts_late  # it is not called with the very first step
        self._units = len(weights.recurrent)
        half = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), self._units)  # turns tanh into sigmoid
        # A tensor, so that all that is compiled shares a table; the smaller ones become part of the programs.
        self._kernel = tf.constant(weights.kernel * half)
        self._recurrent = weights.recurrent * half
        self._bias = weights.bias * half
        self._is_table = weights.is_table
        self._padding_hidden, self._padding_carry = states
        self._return_sequences = return_sequences
        self._go_backwards = go_backwards
        self._zero_masked = zero_masked
        self._pooling = pooling

    def compute_output_spec(
        self,
        inputs: keras.KerasTensor,
        start: keras.KerasTensor,
        mask: keras.KerasTensor | None,
        network_inputs: keras.KerasTensor,
    ) -> list[keras.KerasTensor]:
        """Return shape and dtype of the outputs."""
        del start, mask, network_inputs
        batch, steps = inputs.shape[:2]
        hidden = (batch, steps, self._units) if self._return_sequences else (batch, self._units)
        return [keras.KerasTensor(hidden)] + [
            keras.KerasTensor((batch, self._units)) for _ in range(len(self._pooling))
        ]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return no mask: every layer of a rewritten network is given its mask as an argument."""
        del inputs, mask

    def call(
        self, inputs: tf.Tensor, start: tf.Tensor, mask: tf.Tensor | None, network_inputs: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return the last hidden state, float32 [batch, units], or all of them, [batch, steps, units], then the pools.

        Args:
            inputs: float32 [batch, steps, features], or with a table the ids of words, int32 [batch, steps].
            start: int32 [], the first step to run; every row is padding before.
            mask: bool [batch, steps], False where the state is kept.
            network_inputs: what the network reads, [batch, steps, ...].
        """
        batch, steps = tf.shape(inputs)[0], inputs.shape[1]
        start = tf.convert_to_tensor(start)
        by_step, network_by_step = _transpose_steps(inputs), _transpose_steps(network_inputs)
        pools_steps = inputs.shape[0] != 1  # a row alone is pooled at the end: its outputs are few, and a step is short
        present = None if mask is None else tf.transpose(mask)[:, :, tf.newaxis]
        if self._go_backwards:
            hidden = carry = tf.zeros((batch, self._units))
        else:
            # Gathered, not sliced: for XLA the place of a slice is part of the program, and each would be compiled.
            hidden = tf.gather(self._padding_hidden, tf.fill([batch], start))
            carry = tf.gather(self._padding_carry, tf.fill([batch], start))

        def run_step(
            number: tf.Tensor, hidden: tf.Tensor, carry: tf.Tensor, outputs: Any, pooled: Any
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Any, Any]:
            step = steps - 1 - (number - start) if self._go_backwards else number
            activated = tf.tanh(self._project(tf.gather(by_step, step)) + hidden @ self._recurrent)
            input_gate, forget_gate, candidate, output_gate = tf.split(activated, 4, axis=1)
            new_carry = (0.5 + 0.5 * forget_gate) * carry + (0.5 + 0.5 * input_gate) * candidate
            new_hidden = (0.5 + 0.5 * output_gate) * tf.tanh(new_carry)
            if present is not None:
                is_present = tf.gather(present, step)
                new_carry = tf.where(is_present, new_carry, carry)
                new_hidden = tf.where(is_present, new_hidden, hidden)
            if self._return_sequences:
                output = tf.where(is_present, new_hidden, 0) if self._zero_masked else new_hidden
                outputs = keras.ops.slice_update(outputs, (0, step, 0), output[:, tf.newaxis])
                if pools_steps:
                    pooled = self._pooling.add(pooled, tf.gather(network_by_step, step), output)
            return number + 1, new_hidden, new_carry, outputs, pooled

        outputs = tf.zeros((batch, steps, self._units)) if self._return_sequences else ()
        pooled = self._pooling.begin(tf.zeros((batch, self._units)))
        _, hidden, _, outputs, pooled = tf.while_loop(
            lambda number, *_: number < steps, run_step, (start, hidden, carry, outputs, pooled)
        )
        if not self._return_sequences:
            return [hidden]
        last = tf.zeros((batch, self._units)) if self._zero_masked else hidden
        if self._go_backwards or self._zero_masked:
            before = last[:, tf.newaxis]
        else:
            before = self._padding_hidden[tf.newaxis, 1:]
        outputs = tf.where((tf.range(steps) < start)[:, tf.newaxis], before, outputs)
        if pools_steps:
            pooled = self._pooling.end(pooled, start, last, steps)
        else:
            pooled = self._pooling.pool(network_inputs, outputs)
        return [outputs, *pooled]

    def _project(self, step: tf.Tensor) -> tf.Tensor:
        """Return the part of the gates that comes from the inputs of one step, float32 [batch, 4 * units]."""
        return tf.gather(self._kernel, step) if self._is_table else step @ self._kernel + self._bias
