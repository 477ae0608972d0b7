"""A Keras network translated layer by layer into an ONNX graph that reads rows of unequal lengths.

The graph reads rows filled up on the right, and their lengths. It gives the same answers as Keras for rows padded to
the full length on the side of their codec, but does not run the padding:

- A network that masks its padding skips it: ONNX's `LSTM` stops each row at its length (`sequence_lens`).
- A network without a mask reads the padding before a row begins. Its states then depend only on the number of padding
  steps. The file has a table of these states, and each row starts from its entry (`initial_h`, `initial_c`).
- A network that reads padding after a row, or a row as a single step, must run the padding. The graph then pads the
  rows as their codec does, to the full length (`every_step`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from onnx import TensorProto, helper

from bundle.codec import Codec
from training.errors import ExportError
from training.export import layers, pooling, recurrent
from training.export.inputs import begin, describe_inputs, is_one_step
from training.export.values import Graph, Mask, NeedsEveryStepError, States, Translation, Value, describe

PROBABILITIES = "probabilities"

_TRANSLATORS = layers.TRANSLATORS | recurrent.TRANSLATORS | pooling.TRANSLATORS


def translate(
    network: keras.Model,
    codec: Codec,
    find_states: Callable[[Graph], Mapping[str, States]],
    with_anchors: bool = False,
) -> Graph:
    """Return the graph of a network.

    Args:
        network: a Functional or Sequential network with one input and one output.
        codec: the codec of its rows.
        find_states: returns, by layer, the states of a graph's unmasked LSTMs after padding.
        with_anchors: whether the graph will be quantised: see `lstm`.

    Raises:
        ExportError: a layer cannot be exported; the message names it.
    """
    if is_one_step(codec):
        return _translate(network, Translation(codec, with_anchors, every_step=True))
    try:
        graph = _translate(network, Translation(codec, with_anchors))
    except NeedsEveryStepError:
        return _translate(network, Translation(codec, with_anchors, every_step=True))
    if graph.unmasked:
        plain = _translate(network, Translation(codec))
        return _translate(network, Translation(codec, with_anchors, states=find_states(plain)))
    return graph


def _translate(network: keras.Model, translation: Translation) -> Graph:
    source = keras.Input(batch_shape=network.input_shape, dtype=network.inputs[0].dtype)
    translation.read = begin(translation)
    caller = _Caller(translation)
    caller.note(source, translation.read)
    clone = keras.models.clone_model(  # calls every layer and operation once more, in the network's order
        keras.Model(network.inputs[0], network.outputs[0]),  # a Sequential network's layers would not be called
        input_tensors=source,
        clone_function=lambda layer: layer,
        call_function=caller.call,
    )
    outputs = caller.find(clone.outputs[0])
    if not isinstance(outputs, Value) or outputs.layout != "rows, features":
        raise ExportError("the network does not give one answer for a row; end it with a Dense layer")
    builder, unmasked = translation.builder, tuple(translation.unmasked)
    builder.add("Identity", outputs.name, output=PROBABILITIES)
    answers = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", outputs.features])
    states = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "rows", None])
        for lstm in (() if translation.states else unmasked)
        for name in (lstm.hidden, lstm.carry)
    ]
    model = builder.build(describe_inputs(translation.codec), [answers, *states])
    return Graph(model, translation.every_step, unmasked)


class _Caller:
    """Calls the layers and operations of a network one by one, and translates each."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._values: dict[int, Value | Mask] = {}  # by the id of the tensors of Keras
        self._tensors: list[keras.KerasTensor] = []  # kept alive, so that no id is used again

    def note(self, tensor: keras.KerasTensor, value: Value | Mask) -> None:
        self._values[id(tensor)] = value
        self._tensors.append(tensor)

    def find(self, tensor: keras.KerasTensor) -> Value | Mask:
        return self._values[id(tensor)]

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a layer or an operation, and translate it."""
        outputs = layer(*args, **kwargs)
        kind = type(layer).__name__
        if kind == "InputLayer":
            return outputs
        if kind not in _TRANSLATORS:
            raise ExportError(f"{describe(layer)} cannot be exported to ONNX")
        if isinstance(layer, keras.Layer) and layer.compute_dtype != "float32":
            raise ExportError(f"{describe(layer)} computes in {layer.compute_dtype}, which is not exported")
        named = {name: value for name, value in kwargs.items() if value is not None and name != "training"}
        given, named = keras.tree.map_structure(
            lambda value: self.find(value) if isinstance(value, keras.KerasTensor) else value, (args, named)
        )
        try:
            self.note(outputs, _TRANSLATORS[kind](self._translation, layer, *given, **named))
        except (AttributeError, TypeError) as error:
            raise ExportError(f"{describe(layer)} has an input that cannot be exported to ONNX") from error
        return outputs
