"""The answers of a network made elsewhere: checked to be probabilities, in the form that bundles have.

Both its structure and its answers to rows that try it are checked: with luck, logits are between 0 and 1.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from bundle.probabilities import find_fault, make_probe_rows
from bundle.reviews import ReviewCodec
from bundle.rows import Row
from bundle.tasks import count_outputs
from training.errors import ModelImportError
from training.networks.ends import End, find_end

BATCH = 32  # rows at once


def fit_outputs(network: keras.Model, codec: ReviewCodec, labels: Sequence[str], is_logits: bool) -> keras.Model:
    """Return a network from int32 [batch, length] to the probabilities of a bundle, float32 [batch, outputs].

    Two outputs of a softmax become one, the probability of the second label.

    Args:
        network: reads ids of any or of the codec's length, and answers with a number for each label, or for two labels
            with one.
        codec: of its rows.
        labels: of its outputs.
        is_logits: whether to add the activation that is missing at its end.

    Raises:
        ModelImportError: the number of outputs is not that of the labels, they are no probabilities, or with
            `is_logits` the network does not end with logits.
    """
    outputs = network.outputs[0].shape[1]
    if outputs not in (len(labels), count_outputs(labels)):
        raise ModelImportError(
            f"the network has {outputs} {'output' if outputs == 1 else 'outputs'} for {len(labels)} labels "
            f"({', '.join(labels)}); name a label for each output, or two labels for one output, the probability of "
            "the second"
        )
    activation = "sigmoid" if outputs == 1 else "softmax"
    _check_end(find_end(network), outputs, activation, is_logits)
    ids = keras.Input((codec.length,), dtype="int32", name="ids")
    answer = keras.models.clone_model(  # calls the layers once more, on rows of this length
        keras.Model(network.inputs[0], network.outputs[0]),
        input_tensors=ids,
        clone_function=lambda layer: layer,
    ).outputs[0]
    if is_logits:
        answer = layers.Activation(activation, name="probabilities")(answer)
    _check_answers(keras.Model(ids, answer), codec)
    if outputs == 2:
        second = layers.Dense(1, name="second_label")
        answer = second(answer)
        second.set_weights([np.array([[0], [1]], np.float32), np.zeros(1, np.float32)])
    return keras.Model(ids, answer, name="imported")


def predict(network: keras.Model, padded: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the answers of a network to padded rows, int32 [rows, length], as float32 [rows, outputs].

    It always runs the same number of rows, because TensorFlow traces a network again for another number.
    """
    network.jit_compile = False  # compiling takes longer than the few rows
    parts = []
    for at in range(0, len(padded), BATCH):
        part = padded[at : at + BATCH]
        filled = np.concatenate([part, np.repeat(part[:1], BATCH - len(part), axis=0)])
        parts.append(network.predict_on_batch(filled)[: len(part)])
    return np.concatenate(parts)


def _check_end(end: End, outputs: int, activation: str, is_logits: bool) -> None:
    """Return if a network ends with probabilities, or with the logits that it is said to end with."""
    if is_logits:
        if end.activation == "linear":
            return
        remedy = (
            "leave --logits out" if end.gives_probabilities(outputs) else f"end it with a Dense layer of {activation}"
        )
        raise ModelImportError(f"the network ends with {end}, so its outputs are no logits; {remedy}")
    if end.gives_probabilities(outputs):
        return
    if end.activation == "linear":
        remedy = f"if its outputs are logits, pass --logits, which adds the {activation}"
    elif outputs > 1 and end.activation == "sigmoid":
        remedy = "if several labels may hold at once, train a network with a softmax, or one with two labels for each"
    elif end.activation == "softmax":
        remedy = "a softmax of one output is always 1: train it with a sigmoid, or with two outputs"
    else:
        remedy = f"end it with a Dense layer or an Activation of {activation}"
    raise ModelImportError(f"the network ends with {end}, so its outputs are no probabilities: {remedy}")


def _check_answers(network: keras.Model, codec: ReviewCodec) -> None:
    rows: list[Row] = [*make_probe_rows(codec), np.zeros(0, np.int32)]
    if fault := find_fault(predict(network, codec.pad(rows))):
        raise ModelImportError(
            f"the network answers with {fault}, although it ends with probabilities; train it again, and check its "
            "weights for NaN"
        )
