"""An LSTM layer that on PyTorch reads all steps in one call, where Keras makes a call of each: ten times as fast.

PyTorch's own LSTM knows no mask. A row has its padding on one side only, so it is moved until its padding is behind it,
where no state comes from. Within `narrow_products`, in which networks are trained, products are of bfloat16 where there
are units for them (AMX, or a GPU's), which on AMX is about three times as fast again; weights stay float32. Other
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


@keras.saving.register_keras_serializable("training")  # as `Bidirectional` makes copies
class FusedLSTM(layers.LSTM):  # type: ignore[misc]  # Keras has no types
    """Keras' LSTM with its default activations; of masked steps there is no state to return."""

    def inner_loop(
        self, sequences: keras.KerasTensor, initial_state: Any, mask: keras.KerasTensor | None, training: bool = False
    ) -> Any:
        """Return the last output, all outputs and the last states of rows [batch, steps, features]."""
        if keras.backend.backend() != "torch":
            return super().inner_loop(sequences, initial_state, mask, training)
        # Those of PyTorch's.
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
    """Let products be of bfloat16 while the block runs, where that is faster."""
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
    """Return of each row [steps, features] the steps that are asked for."""
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
    """Return whether products are of bfloat16."""
    return _is_narrow_wanted.get() and keras.backend.backend() == "torch" and _has_units()


@cache
def _has_units() -> bool:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
