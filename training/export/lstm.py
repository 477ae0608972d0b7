"""The weights of Keras LSTM layers in the order of ONNX's `LSTM`, and the anchors of 8-bit LSTMs.

ONNX Runtime scales the inputs of an 8-bit LSTM by the least and the largest number of the whole batch, so a row's
answer would depend on the other rows. Anchors are two more units that are always 1 and -1, and two more inputs that are
always the largest number of all and its negative. They make the scale the same for every batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.errors import ExportError

# Units and inputs with anchors are filled up to a multiple of this number; ONNX Runtime computes 8 at once.
LANES = 8
# Values that keep an anchor constant: the sigmoid and the tanh of the first are 1, and the tanh of the second is 1.
_SATURATED = 50.0
_SATURATED_CARRY = 20.0

# ONNX's functions by Keras' names, with their alpha and beta if they have them.
_ACTIVATIONS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "hard_sigmoid": ("HardSigmoid", (1 / 6, 0.5)),
    "linear": ("Affine", (1.0, 0.0)),
    "relu": ("Relu", ()),
    "sigmoid": ("Sigmoid", ()),
    "softsign": ("Softsign", ()),
    "tanh": ("Tanh", ()),
}

Array = NDArray[np.float32]


def count_anchors(size: int) -> int:
    """Return the number of anchors for `size` units or inputs: two, and zeros up to the next full lanes."""
    return -(-(size + 2) // LANES) * LANES - size


def make_input_anchors(size: int, most: float) -> Array:
    """Return the anchors for `size` inputs with absolute values up to `most`, float32 [anchors]."""
    return _anchors(count_anchors(size), most)


def make_first_states(states: tuple[Array, Array], anchors: int) -> tuple[Array, Array]:
    """Return hidden and carry states, float32 [..., units], followed by the states of anchors."""
    hidden, carry = (np.pad(each, [(0, 0)] * (each.ndim - 1) + [(0, anchors)]) for each in states)
    if anchors:
        hidden[..., -anchors:] = _anchors(anchors, 1)
        carry[..., -anchors:] = _anchors(anchors, _SATURATED_CARRY)
    return hidden, carry


def describe_activations(lstms: Sequence[layers.LSTM]) -> dict[str, Any]:
    """Return the attributes of ONNX's `LSTM` for the activations of layers that read in different directions.

    Raises:
        ExportError: ONNX has no such activation.
    """
    found = []
    for lstm in lstms:
        gates, candidate = (keras.activations.serialize(each) for each in (lstm.recurrent_activation, lstm.activation))
        if unknown := {str(gates), str(candidate)} - _ACTIVATIONS.keys():
            raise ExportError(f"the layer {lstm.name!r} has the activation {min(unknown)}, which ONNX's LSTM lacks")
        found += [_ACTIVATIONS[gates], _ACTIVATIONS[candidate], _ACTIVATIONS[candidate]]
    # The lists have entries only for functions with an alpha and a beta, which take them in order.
    constants = [constants for _, constants in found if constants]
    attributes: dict[str, Any] = {"activations": [name for name, _ in found]}
    if constants:
        attributes["activation_alpha"], attributes["activation_beta"] = zip(*constants, strict=True)
    return attributes


def is_standard(lstm: layers.LSTM) -> bool:
    """Return whether a layer has the activations that anchors require."""
    return lstm.activation is keras.activations.tanh and lstm.recurrent_activation is keras.activations.sigmoid


def order_weights(lstm: layers.LSTM, blocks: int, input_anchors: int, anchors: int) -> tuple[Array, Array, Array]:
    """Return the weights of one direction in ONNX's form.

    Keras has the gates in the order i, f, c, o and ONNX in the order i, o, f, c, with transposed matrices and a second
    bias, which is zero here.

    Args:
        lstm: the layer.
        blocks: number of blocks of features that it reads.
        input_anchors: number of anchors after each block.
        anchors: number of its own anchors.

    Returns:
        float32 [4 * units, features], [4 * units, units] and [8 * units], all with anchors.
    """
    cell, units = lstm.cell, lstm.units
    kernel = cell.kernel.numpy().reshape(blocks, -1, 4, units)
    kernel = np.pad(kernel, [(0, 0), (0, input_anchors), (0, 0), (0, anchors)]).reshape(-1, 4, units + anchors)
    recurrent = np.pad(cell.recurrent_kernel.numpy().reshape(units, 4, units), [(0, anchors), (0, 0), (0, anchors)])
    bias = cell.bias.numpy() if cell.use_bias else np.zeros(4 * units, np.float32)
    bias = np.pad(bias.reshape(4, units), [(0, 0), (0, anchors)])
    if anchors:
        bias[:, units:] = [_SATURATED]
        bias[2, units:] = _anchors(anchors, _SATURATED)  # the candidate
    kernel, recurrent, bias = (weights[..., [0, 3, 1, 2], :] for weights in (kernel, recurrent, bias))
    return (
        kernel.reshape(len(kernel), -1).T,
        recurrent.reshape(len(recurrent), -1).T,
        np.concatenate([bias.reshape(-1), np.zeros(bias.size, np.float32)]),
    )


def _anchors(count: int, most: float) -> Array:
    """Return a positive and a negative anchor, followed by zeros."""
    anchors = np.zeros(count, np.float32)
    anchors[:2] = most, -most
    return anchors
