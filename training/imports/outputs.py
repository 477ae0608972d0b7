"""The answers of a network made elsewhere: checked to be probabilities, in the form that bundles have."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from bundle.probabilities import find_fault, make_probe_rows
from bundle.reviews import ReviewCodec
from bundle.rows import Row
from bundle.tasks import count_outputs
from training.errors import ModelImportError


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
        ModelImportError: the number of outputs is not that of the labels, or they are no probabilities.
    """
    outputs = network.outputs[0].shape[1]
    if outputs not in (len(labels), count_outputs(labels)):
        raise ModelImportError(
            f"the network has {outputs} outputs for {len(labels)} labels ({', '.join(labels)}); name a label for each "
            "output, or two labels for one output, the probability of the second"
        )
    ids = keras.Input((codec.length,), dtype="int32", name="ids")
    answer = keras.models.clone_model(  # calls the layers once more, on rows of this length
        keras.Model(network.inputs[0], network.outputs[0]),
        input_tensors=ids,
        clone_function=lambda layer: layer,
    ).outputs[0]
    activation = "sigmoid" if outputs == 1 else "softmax"
    if is_logits:
        if (found := _find_activation(network)) in ("sigmoid", "softmax"):
            raise ModelImportError(f"the network ends with a {found}, so its outputs are no logits; leave --logits out")
        answer = layers.Activation(activation, name="probabilities")(answer)
    _check(keras.Model(ids, answer), codec, [*make_probe_rows(codec), np.zeros(0, np.int32)], activation)
    if outputs == 2:
        second = layers.Dense(1, name="second_label")
        answer = second(answer)
        second.set_weights([np.array([[0], [1]], np.float32), np.zeros(1, np.float32)])
    return keras.Model(ids, answer, name="imported")


def _check(network: keras.Model, codec: ReviewCodec, rows: Sequence[Row], activation: str) -> None:
    answers = network.predict(codec.pad(rows), verbose=0)
    fault = find_fault(answers)
    if not fault:
        return
    are_shares = answers.min() >= 0 and answers.max() <= 1
    remedy = (
        "if several labels may hold at once, train a network with a softmax, or one with two labels for each"
        if are_shares and answers.shape[1] > 1
        else f"if these are logits, pass --logits, which adds the {activation}"
    )
    raise ModelImportError(f"the network answers with {fault}: {remedy}")


def _find_activation(network: keras.Model) -> str | None:
    """Return the activation at the end of a network; None if its last layer has none."""
    last = network.layers[-1]
    if isinstance(last, layers.Softmax):
        return "softmax"
    found = getattr(last, "activation", None)
    return str(keras.activations.serialize(found)) if found else None
