"""An LSTM layer that on PyTorch reads all steps in one call: ten times as fast as Keras, which makes a call per step.

PyTorch's own LSTM has no mask. A row has padding on one side only, so it is moved until the padding is at its end,
where it changes no state that is used. Within `narrow_products`, which training uses, products are in bfloat16 if the
hardware has units for them (AMX or a GPU); on AMX this is about three times as fast again. Weights stay float32. Other
backends run the layer of Keras.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import keras
from keras import layers, ops

_is_narrow_wanted = ContextVar("is_narrow_wanted", default=False)


@keras.saving.register_keras_serializable("training")  # because `Bidirectional` makes copies
class FusedLSTM(layers.LSTM):  # type: ignore[misc]  # Keras has no types
    """Keras' LSTM with its default activations; with a mask it cannot return its state."""

    def inner_loop(
        self, sequences: keras.KerasTensor, initial_state: Any, mask: keras.KerasTensor | None, training: bool = False
    ) -> Any:
        """Return the last output, all outputs and the last states of rows [batch, steps, features]."""
        if keras.backend.backend() != "torch":
            return super().inner_loop(sequences, initial_state, mask, training)
        # The activations of PyTorch's LSTM.
        assert (self.activation, self.recurrent_activation) == (keras.activations.tanh, keras.activations.sigmoid)
        assert not self.dropout and not self.recurrent_dropout
        if self.go_backwards:
            sequences, mask = ops.flip(sequences, 1), None if mask is None else ops.flip(mask, 1)
        if mask is None:
            outputs, *states = _run(sequences, initial_state, self.cell)
            return outputs[:, -1], outputs, states
        assert not self.return_state
        steps, present = ops.arange(ops.shape(mask)[1])[None, :], ops.cast(mask, "int32")
        before = ops.argmax(present, axis=1, keepdims=True)  # steps of padding
        moved, *states = _run(_take(sequences, ops.minimum(steps + before, steps[:, -1:])), initial_state, self.cell)
        last = _take(moved, ops.sum(present, axis=1, keepdims=True) - 1)
        return (
            last[:, 0],
            _take(moved, ops.maximum(steps - before, 0)) * ops.cast(mask, moved.dtype)[:, :, None],
            states,
        )


@contextmanager
def narrow_products() -> Iterator[None]:
    """Use bfloat16 for products while the block runs, on hardware where this is faster."""
    before = _is_narrow_wanted.set(True)
    try:
        yield
    finally:
        _is_narrow_wanted.reset(before)


def multiply(left: keras.KerasTensor, right: keras.KerasTensor) -> keras.KerasTensor:
    """Return the product of two matrices."""
    if not _is_narrow():
        return ops.matmul(left, right)
    return ops.cast(ops.matmul(ops.cast(left, "bfloat16"), ops.cast(right, "bfloat16")), left.dtype)


def _take(rows: keras.KerasTensor, steps: keras.KerasTensor) -> keras.KerasTensor:
    """Return the given steps of each row [steps, features]."""
    return ops.take_along_axis(rows, steps[:, :, None], axis=1)


def _run(rows: Any, initial_state: Any, cell: Any) -> tuple[Any, Any, Any]:
    """Return outputs, last state and last carry of PyTorch's LSTM."""
    torch = importlib.import_module("torch")
    bias = ops.convert_to_tensor(cell.bias)
    weights = [ops.convert_to_tensor(cell.kernel).T, ops.convert_to_tensor(cell.recurrent_kernel).T]
    given = [rows, *initial_state, *weights, bias, torch.zeros_like(bias)]
    if _is_narrow():
        given = [tensor.bfloat16() for tensor in given]
    rows, state, carry, *weights = (tensor.contiguous() for tensor in given)
    outputs, state, carry = torch._VF.lstm(
        rows, (state[None], carry[None]), weights, True, 1, 0.0, torch.is_grad_enabled(), False, True
    )
    return outputs.to(bias.dtype), state[0].to(bias.dtype), carry[0].to(bias.dtype)


def _is_narrow() -> bool:
    """Return whether products are in bfloat16."""
    return _is_narrow_wanted.get() and keras.backend.backend() == "torch" and _has_units()


@cache
def _has_units() -> bool:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
