"""A Keras network translated layer by layer into an ONNX graph that reads rows of unequal lengths.

The graph reads rows padded on the right, and their lengths. It answers as Keras does on rows padded on the left to the
full length, but leaves the padding out:

- A network that masks its padding skips it: ONNX's `LSTM` stops each row at its length (`sequence_lens`).
- One that does not mask it has read the padding before a row begins. The states that this leaves depend on nothing but
  the number of padding steps, so they are a table in the file, from which each row takes its first (`initial_h`,
  `initial_c`).
- One that reads padding behind a row, or a row as a single step, cannot leave it out. There the graph itself moves the
  rows to the right and fills them up to the full length (`every_step`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
import onnx
from keras import layers
from onnx import TensorProto, helper

from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec
from training import onnx_lstm
from training.errors import ExportError
from training.onnx_builder import Builder
from training.onnx_lstm import Array

LENGTHS = "lengths"
PROBABILITIES = "probabilities"
VECTORS = "word_vectors"
SCALES = "word_scales"

_DENSE_ACTIVATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "linear": ("Identity", {}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "tanh": ("Tanh", {}),
}

Codec = LetterCodec | ReviewCodec
_POOLED_STEPS = 8  # at a time, when the maximum over the steps is sought

# Hidden and carry state of one LSTM after 0, 1, ... steps of padding, each float32 [length + 1, units].
States = tuple[Array, Array]


@dataclass(frozen=True)
class UnmaskedLSTM:
    """An LSTM that reads the padding, with the names of its last states, each [1, rows, units]."""

    layer: str
    hidden: str
    carry: str


@dataclass(frozen=True)
class Graph:
    """A translated network; `unmasked` are its LSTMs that read the padding but need not run it."""

    model: onnx.ModelProto
    every_step: bool
    unmasked: tuple[UnmaskedLSTM, ...]


def translate(
    network: keras.Model,
    codec: Codec,
    find_states: Callable[[Graph], Mapping[str, States]],
    with_anchors: bool = False,
) -> Graph:
    """Return the graph of a network.

    Args:
        network: a Functional or Sequential one of one input and one output.
        codec: of the rows that it reads.
        find_states: returns, by layer, the states of a graph's unmasked LSTMs after padding.
        with_anchors: whether the graph is one to quantise: see `onnx_lstm`.

    Raises:
        ExportError: a layer cannot be exported, which is named.
    """
    if _is_one_step(codec):
        return _Translator(codec, with_anchors, every_step=True).translate(network)
    try:
        graph = _Translator(codec, with_anchors).translate(network)
    except _NeedsEveryStepError:
        return _Translator(codec, with_anchors, every_step=True).translate(network)
    if graph.unmasked:
        plain = _Translator(codec).translate(network)
        return _Translator(codec, with_anchors, states=find_states(plain)).translate(network)
    return graph


def _is_one_step(codec: Codec) -> bool:
    return isinstance(codec, LetterCodec) and codec.layout == "features"


class _NeedsEveryStepError(Exception):
    """Something reads padding behind a row."""


@dataclass(frozen=True)
class _Mask:
    """Which steps are no padding. The lengths say it, so that nothing is computed until it is needed."""


@dataclass(frozen=True)
class _Value:
    """A tensor of the graph, whose axes are those that `layout` names.

    The features are in blocks, one for each direction of an LSTM, with anchors behind each.
    """

    name: str
    layout: Literal["rows, features", "steps, rows", "steps, rows, features", "steps, blocks, rows, features"]
    features: int  # of a block, without anchors
    blocks: int = 1
    anchors: int = 0
    is_zero_at_padding: bool = False


class _Translator:
    """Translates one network; `states` are those of its unmasked LSTMs, or empty, as if they were all zero."""

    def __init__(
        self,
        codec: Codec,
        with_anchors: bool = False,
        every_step: bool = False,
        states: Mapping[str, States] | None = None,
    ) -> None:
        self._codec = codec
        self._with_anchors = with_anchors
        self._every_step = every_step
        self._states = states or {}
        self._builder = Builder()
        self._values: dict[int, _Value | _Mask] = {}  # by the id of the tensors of Keras
        self._tensors: list[keras.KerasTensor] = []  # kept, so that none gets the id of another
        self._unmasked: list[UnmaskedLSTM] = []
        self._read: _Value  # what the network reads
        self._translations: Mapping[str, Callable[..., _Value | _Mask]] = {
            "Any": self._keep_mask,
            "BatchNormalization": self._normalise_by_batch,
            "Bidirectional": self._run_both_ways,
            "Cast": self._keep_mask,
            "Concatenate": self._concatenate,
            "Dense": self._multiply,
            "Dropout": self._keep,
            "Embedding": self._look_up,
            "ExpandDims": self._keep_mask,
            "LSTM": self._run_forwards,
            "LayerNormalization": self._normalise_by_layer,
            "Masking": self._keep,
            "Max": self._find_maximum,
            "Multiply": self._clear_padding,
            "NotEqual": self._find_padding,
            "SpatialDropout1D": self._keep,
            "Sum": self._sum,
            "TrueDivide": self._divide,
            "Where": self._fill_padding,
        }

    def translate(self, network: keras.Model) -> Graph:
        source = keras.Input(batch_shape=network.input_shape, dtype=network.inputs[0].dtype)
        self._read = self._begin()
        self._note(source, self._read)
        clone = keras.models.clone_model(  # calls every layer and operation once more, in the network's order
            keras.Model(network.inputs[0], network.outputs[0]),  # a Sequential one is not called so
            input_tensors=source,
            clone_function=lambda layer: layer,
            call_function=self._call,
        )
        outputs = self._values[id(clone.outputs[0])]
        if not isinstance(outputs, _Value) or outputs.layout != "rows, features":
            raise ExportError("the network does not give one answer for a row; end it with a Dense layer")
        self._builder.add("Identity", outputs.name, output=PROBABILITIES)
        row_type = TensorProto.FLOAT if isinstance(self._codec, LetterCodec) else TensorProto.INT32
        inputs = [
            helper.make_tensor_value_info(self._rows, row_type, ["rows", "steps"]),
            helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["rows"]),
        ]
        answers = helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["rows", outputs.features])
        states = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "rows", None])
            for lstm in (() if self._states else self._unmasked)
            for name in (lstm.hidden, lstm.carry)
        ]
        return Graph(self._builder.build(inputs, [answers, *states]), self._every_step, tuple(self._unmasked))

    # ---- What goes in

    @property
    def _rows(self) -> str:
        return "letters" if isinstance(self._codec, LetterCodec) else "ids"

    def _begin(self) -> _Value:
        """Return what the first layer reads."""
        add, integers = self._builder.add, self._builder.integers
        rows = self._move_right() if self._every_step else self._rows
        if _is_one_step(self._codec):
            return _Value(add("Unsqueeze", rows, integers(0)), "steps, rows, features", self._codec.length)
        steps = add("Transpose", rows, perm=[1, 0])
        if isinstance(self._codec, LetterCodec):
            return _Value(add("Unsqueeze", steps, integers(-1)), "steps, rows, features", 1)
        return _Value(steps, "steps, rows", 1)

    def _move_right(self) -> str:
        """Return the rows as Keras reads them: at the end of the full length, behind padding."""
        add, constant, integers = self._builder.add, self._builder.constant, self._builder.integers
        from_the_end = np.arange(-self._codec.length, 0, dtype=np.int64)[np.newaxis]
        lengths = add("Cast", add("Unsqueeze", LENGTHS, integers(1)), to=TensorProto.INT64)
        places = add("Add", constant(from_the_end), lengths)
        found = add("GatherElements", self._rows, add("Max", places, integers(0)), axis=1)
        return add("Where", add("Less", places, integers(0)), constant(np.array(self._codec.padding)), found)

    # ---- Layers and operations

    def _call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a layer or an operation, and translate it."""
        outputs = layer(*args, **kwargs)
        kind = type(layer).__name__
        if kind == "InputLayer":
            return outputs
        if kind not in self._translations:
            raise ExportError(f"{_name(layer)} cannot be exported to ONNX")
        if isinstance(layer, keras.Layer) and layer.compute_dtype != "float32":
            raise ExportError(f"{_name(layer)} computes in {layer.compute_dtype}, which is not exported")
        named = {name: value for name, value in kwargs.items() if value is not None and name != "training"}
        given, named = keras.tree.map_structure(
            lambda value: self._values[id(value)] if isinstance(value, keras.KerasTensor) else value, (args, named)
        )
        try:
            self._note(outputs, self._translations[kind](layer, *given, **named))
        except (AttributeError, TypeError) as error:
            raise ExportError(f"{_name(layer)} is given what cannot be exported to ONNX") from error
        return outputs

    def _note(self, tensor: keras.KerasTensor, value: _Value | _Mask) -> None:
        self._values[id(tensor)] = value
        self._tensors.append(tensor)

    def _keep(self, _: Any, value: _Value, **__: Any) -> _Value:
        return value

    def _keep_mask(self, _: Any, mask: Any, *__: Any, **___: Any) -> _Mask:
        return _expect_mask(mask)

    def _find_padding(self, operation: Any, inputs: _Value, padding: Any) -> _Mask:
        if self._every_step:
            raise ExportError(f"{_name(operation)} masks padding that another layer reads, which is not exported")
        if inputs != self._read or float(padding) != float(self._codec.padding):
            raise ExportError(f"{_name(operation)} masks something else than the padding, which is not exported")
        return _Mask()

    def _look_up(self, layer: layers.Embedding, ids: _Value) -> _Value:
        add, constant = self._builder.add, self._builder.constant
        vectors, *scales = (weight.numpy() for weight in layer.weights)
        found = add("Gather", constant(vectors, VECTORS), ids.name)
        if scales:
            vectors = vectors / scales[0][:, np.newaxis]
            scale = add("Gather", constant(scales[0][:, np.newaxis], SCALES), ids.name)
            found = add("Div", add("Cast", found, to=TensorProto.FLOAT), scale)
        value = _Value(found, "steps, rows, features", vectors.shape[1])
        if not self._with_anchors:
            return value
        anchors = onnx_lstm.make_input_anchors(value.features, float(abs(vectors).max()))
        shape = add("Concat", add("Shape", ids.name), self._builder.integers(len(anchors)), axis=0)
        behind = add("Expand", constant(anchors), shape)
        return replace(value, name=add("Concat", found, behind, axis=-1), anchors=len(anchors))

    def _run_forwards(self, layer: layers.LSTM, steps: _Value, mask: _Mask | None = None) -> _Value:
        return self._run(layer.name, [layer], steps, mask)

    def _run_both_ways(self, layer: layers.Bidirectional, steps: _Value, mask: _Mask | None = None) -> _Value:
        lstms = [layer.forward_layer, layer.backward_layer]
        if layer.merge_mode != "concat" or any(type(lstm) is not layers.LSTM for lstm in lstms):
            raise ExportError(f"{_name(layer)} is not an LSTM of two directions with merge_mode='concat'")
        if mask is None and not self._every_step:
            raise _NeedsEveryStepError
        return self._run(layer.name, lstms, steps, mask)

    def _run(self, name: str, lstms: Sequence[layers.LSTM], steps: _Value, mask: _Mask | None) -> _Value:
        """Return the outputs of the LSTMs of a layer, one for each direction."""
        forwards = lstms[0]
        if forwards.go_backwards or forwards.stateful or forwards.return_state:
            raise ExportError(f"the layer {name!r} goes backwards alone, is stateful or returns its state")
        inputs = self._flatten(steps)
        anchors = 0
        if self._with_anchors:
            if not inputs.anchors or not all(map(onnx_lstm.is_standard, lstms)):
                raise ExportError(
                    f"the layer {name!r} cannot have 8 bits: it has to read word vectors or another LSTM, and to have "
                    "the activations tanh and sigmoid"
                )
            anchors = onnx_lstm.count_anchors(forwards.units)
        weights = [onnx_lstm.order_weights(lstm, inputs.blocks, inputs.anchors, anchors) for lstm in lstms]
        is_unmasked = mask is None and not self._every_step
        steps_taken = self._count_steps(is_unmasked)
        known = self._states.get(name) if is_unmasked else None
        states = self._begin_states(known, steps_taken, len(lstms), forwards.units, anchors)
        outputs, hidden, carry = (f"{name}/{part}" for part in ("outputs", "hidden", "carry"))
        self._builder.add_of_many(
            "LSTM",
            [
                inputs.name,
                *(self._builder.constant(np.stack(each)) for each in zip(*weights, strict=True)),
                steps_taken,
                *states,
            ],
            [outputs, hidden, carry],
            hidden_size=forwards.units + anchors,
            direction="bidirectional" if len(lstms) == 2 else "forward",
            **onnx_lstm.describe_activations(lstms),
        )
        if is_unmasked:
            self._unmasked.append(UnmaskedLSTM(name, hidden, carry))
        value = _Value(outputs, "steps, blocks, rows, features", forwards.units, len(lstms), anchors, True)
        return value if forwards.return_sequences else self._join_blocks(value, hidden)

    def _count_steps(self, is_unmasked: bool) -> str:
        """Return the name of the steps that each row takes, int32 [rows]."""
        if is_unmasked:  # an empty row takes a step of padding: of no step ONNX Runtime returns zeros
            return self._builder.add("Max", LENGTHS, self._builder.number(1, np.int32))
        if not self._every_step:
            return LENGTHS
        steps = self._builder.number(1 if _is_one_step(self._codec) else self._codec.length, np.int32)
        return self._builder.add("Expand", steps, self._builder.add("Shape", LENGTHS))

    def _begin_states(self, known: States | None, steps: str, blocks: int, units: int, anchors: int) -> tuple[str, str]:
        """Return the names of the states that rows begin with, [blocks, rows, units]; none where they are zero."""
        add, integers = self._builder.add, self._builder.integers
        if known:
            padding_steps = add("Sub", self._builder.number(self._codec.length, np.int32), steps)
            tables = (self._builder.constant(table) for table in onnx_lstm.make_first_states(known, anchors))
            hidden, carry = (add("Unsqueeze", add("Gather", table, padding_steps), integers(0)) for table in tables)
            return hidden, carry
        if not anchors:
            return "", ""
        zeros = np.zeros((blocks, 1, units), np.float32)
        shape = add("Concat", integers(blocks), add("Shape", LENGTHS), integers(units + anchors), axis=0)
        states = (self._builder.constant(each) for each in onnx_lstm.make_first_states((zeros, zeros), anchors))
        hidden, carry = (add("Expand", each, shape) for each in states)
        return hidden, carry

    def _multiply(self, layer: layers.Dense, value: _Value) -> _Value:
        value = self._flatten(value, without_anchors=layer)
        activation = str(keras.activations.serialize(layer.activation))
        weights = layer.get_weights()
        if activation not in _DENSE_ACTIVATIONS or len(weights) != 2:
            raise ExportError(
                f"{_name(layer)} has the activation {activation}, no bias or weights of 8 bits, which is not exported"
            )
        operation, attributes = _DENSE_ACTIVATIONS[activation]
        kernel, bias = map(self._builder.constant, weights)
        product = self._builder.add("Add", self._builder.add("MatMul", value.name, kernel), bias)
        name = self._builder.add(operation, product, **attributes)
        return _Value(name, value.layout, layer.units)

    def _normalise_by_batch(self, layer: layers.BatchNormalization, value: _Value, mask: _Mask | None = None) -> _Value:
        del mask  # which matters in training
        value = self._flatten(value, without_anchors=layer)
        mean, variance = (each.numpy().astype(np.float64) for each in (layer.moving_mean, layer.moving_variance))
        slope = (layer.gamma.numpy() if layer.scale else 1) / np.sqrt(variance + layer.epsilon)
        shift = (layer.beta.numpy() if layer.center else 0) - mean * slope
        slope, shift = (self._builder.constant(each.astype(np.float32)) for each in (slope, shift))
        name = self._builder.add("Add", self._builder.add("Mul", value.name, slope), shift)
        return replace(value, name=name, is_zero_at_padding=False)

    def _normalise_by_layer(self, layer: layers.LayerNormalization, value: _Value) -> _Value:
        value = self._flatten(value, without_anchors=layer)
        gamma = layer.gamma.numpy() if layer.scale else np.ones(value.blocks * value.features, np.float32)
        beta = layer.beta.numpy() if layer.center else np.zeros_like(gamma)
        inputs = value.name, self._builder.constant(gamma), self._builder.constant(beta)
        name = self._builder.add("LayerNormalization", *inputs, axis=-1, epsilon=layer.epsilon)
        return replace(value, name=name, is_zero_at_padding=False)

    def _clear_padding(self, _: Any, value: _Value, mask: _Mask) -> _Value:
        """Return a value multiplied by the mask."""
        _expect_mask(mask)
        if value.is_zero_at_padding:
            return value
        present = self._builder.add("Cast", self._find_present(value, mask), to=TensorProto.FLOAT)
        return replace(value, name=self._builder.add("Mul", value.name, present), is_zero_at_padding=True)

    def _fill_padding(self, _: Any, mask: _Mask, value: _Value, filling: float) -> _Value:
        """Return a value with a number in the place of padding."""
        present = self._find_present(value, mask)
        name = self._builder.add("Where", present, value.name, self._builder.number(filling, np.float32))
        return replace(value, name=name, is_zero_at_padding=False)

    def _find_present(self, value: _Value, mask: _Mask) -> str:
        """Return the name of the mask in the layout of a value, bool."""
        _expect_mask(mask)
        add, integers, number = self._builder.add, self._builder.integers, self._builder.number
        count = add("Squeeze", add("Shape", self._rows, start=1, end=2), integers(0))
        numbers = add("Range", number(0, np.int64), count, number(1, np.int64))
        steps = add("Unsqueeze", add("Cast", numbers, to=TensorProto.INT32), integers(1))
        present = add("Less", steps, LENGTHS)
        return add("Unsqueeze", present, integers(*((1, 3) if value.layout.startswith("steps, blocks") else (2,))))

    def _sum(self, operation: Any, value: _Value | _Mask) -> _Value:
        if isinstance(value, _Mask):
            _expect_steps(operation)
            lengths = self._builder.add("Unsqueeze", LENGTHS, self._builder.integers(1))
            return _Value(self._builder.add("Cast", lengths, to=TensorProto.FLOAT), "rows, features", 1)
        if not value.is_zero_at_padding:
            raise ExportError(f"{_name(operation)} adds up padding, which is not exported")
        _expect_steps(operation)
        return self._join(value, self._builder.add("ReduceSum", value.name, self._builder.integers(0), keepdims=0))

    def _find_maximum(self, operation: Any, value: _Value) -> _Value:
        _expect_steps(operation)
        if value.is_zero_at_padding:
            raise ExportError(f"{_name(operation)} compares padding, which is not exported")
        add, integers = self._builder.add, self._builder.integers
        # ONNX Runtime's `ReduceMax` over the steps takes twice as long as all of this: it compares number by number.
        found = add("Unsqueeze", add("Flatten", value.name, axis=1), integers(0, 1))
        for _ in range(2):
            found = add("MaxPool", found, kernel_shape=[_POOLED_STEPS, 1], strides=[_POOLED_STEPS, 1], ceil_mode=1)
        maximum = add("ReduceMax", found, integers(0, 1, 2), keepdims=0)
        if value.layout == "steps, blocks, rows, features":
            shape = integers(value.blocks, -1, value.features + value.anchors)
        else:
            shape = integers(-1, value.blocks * value.features)
        return self._join(value, add("Reshape", maximum, shape))

    def _join(self, value: _Value, pooled: str) -> _Value:
        """Return what was pooled of a value over the steps, as [rows, features]."""
        if value.layout == "steps, blocks, rows, features":
            return self._join_blocks(value, pooled)
        return _Value(pooled, "rows, features", value.blocks * value.features)

    def _divide(self, _: Any, value: _Value, divisor: _Value) -> _Value:
        return replace(value, name=self._builder.add("Div", value.name, divisor.name))

    def _concatenate(self, operation: Any, values: Sequence[_Value]) -> _Value:
        if operation.axis != -1 or any(value.layout != "rows, features" for value in values):
            raise ExportError(f"{_name(operation)} joins something else than the features of rows")
        name = self._builder.add("Concat", *(value.name for value in values), axis=-1)
        return _Value(name, "rows, features", sum(value.features for value in values))

    # ---- Layouts

    def _flatten(self, value: _Value, without_anchors: Any = None) -> _Value:
        """Return the outputs of an LSTM as [steps, rows, features], its blocks behind one another.

        Raises:
            ExportError: they have anchors, which the layer that reads them does not know.
        """
        if without_anchors is not None and value.anchors:
            raise ExportError(f"{_name(without_anchors)} reads an LSTM, which therefore cannot have 8 bits")
        if value.layout != "steps, blocks, rows, features":
            return value
        if value.blocks == 1:
            name = self._builder.add("Squeeze", value.name, self._builder.integers(1))
        else:
            by_row = self._builder.add("Transpose", value.name, perm=[0, 2, 1, 3])
            name = self._builder.add("Reshape", by_row, self._builder.integers(0, 0, -1))
        return replace(value, name=name, layout="steps, rows, features")

    def _join_blocks(self, value: _Value, name: str) -> _Value:
        """Return what an LSTM has of each row, [blocks, rows, features], as [rows, features], without anchors."""
        add, integers = self._builder.add, self._builder.integers
        if value.anchors:
            name = add("Slice", name, integers(0), integers(value.features), integers(2))
        if value.blocks == 1:
            name = add("Squeeze", name, integers(0))
        else:
            name = add("Reshape", add("Transpose", name, perm=[1, 0, 2]), integers(0, value.blocks * value.features))
        return _Value(name, "rows, features", value.blocks * value.features)


def _expect_mask(value: Any) -> _Mask:
    if not isinstance(value, _Mask):
        raise TypeError(value)
    return value


def _expect_steps(operation: Any) -> None:
    if operation.axis not in (1, [1], (1,)) or operation.keepdims:
        raise ExportError(f"{_name(operation)} pools over something else than the steps, which is not exported")


def _name(layer: Any) -> str:
    return f"the {'layer' if isinstance(layer, keras.Layer) else 'operation'} {layer.name!r} ({type(layer).__name__})"
