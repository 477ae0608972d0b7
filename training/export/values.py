"""The tensors of a graph during translation, and changes of their layouts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import keras
import onnx

from bundle.codec import Codec
from training.errors import ExportError
from training.export.builder import Builder
from training.export.lstm import Array

LENGTHS = "lengths"

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
    """A translated network; `unmasked` are its LSTMs that read padding, which can be replaced by first states."""

    model: onnx.ModelProto
    every_step: bool
    unmasked: tuple[UnmaskedLSTM, ...]


class NeedsEveryStepError(Exception):
    """A layer reads padding after a row."""


@dataclass(frozen=True)
class Mask:
    """The steps that are not padding. It can be computed from the lengths, so it has no node until one is needed."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph; `layout` names its axes.

    The features are in blocks, one for each direction of an LSTM, with anchors after each block.
    """

    name: str
    layout: Literal["rows, features", "steps, rows", "steps, rows, features", "steps, blocks, rows, features"]
    features: int  # of a block, without anchors
    blocks: int = 1
    anchors: int = 0
    is_zero_at_padding: bool = False


@dataclass
class Translation:
    """The state of the translation of a network.

    Attributes:
        codec: the codec of the network's rows.
        with_anchors: whether the graph will be quantised: see `lstm`.
        every_step: whether a row takes all steps of the network.
        states: the states of its unmasked LSTMs after padding, by layer; zero for layers without an entry.
        builder: the builder of the graph.
        unmasked: the unmasked LSTMs found so far.
        read: the input of the first layer.
    """

    codec: Codec
    with_anchors: bool = False
    every_step: bool = False
    states: Mapping[str, States] = field(default_factory=dict)
    builder: Builder = field(default_factory=Builder)
    unmasked: list[UnmaskedLSTM] = field(default_factory=list)
    read: Value | None = None


# Takes the translation, a layer or an operation of Keras, and its inputs; adds nodes, and returns the output.
Translator = Callable[..., Value | Mask]


def flatten(builder: Builder, value: Value, without_anchors: Any = None) -> Value:
    """Return the outputs of an LSTM as [steps, rows, features], with its blocks one after the other.

    Raises:
        ExportError: they have anchors, which the reading layer, `without_anchors`, does not support.
    """
    if without_anchors is not None and value.anchors:
        raise ExportError(f"{describe(without_anchors)} reads an LSTM, which therefore cannot have 8 bits")
    if value.layout != "steps, blocks, rows, features":
        return value
    if value.blocks == 1:
        name = builder.add("Squeeze", value.name, builder.integers(1))
    else:
        by_row = builder.add("Transpose", value.name, perm=[0, 2, 1, 3])
        name = builder.add("Reshape", by_row, builder.integers(0, 0, -1))
    return replace(value, name=name, layout="steps, rows, features")


def join_blocks(builder: Builder, value: Value, name: str) -> Value:
    """Return an LSTM's values for each row, [blocks, rows, features], as [rows, features], without anchors."""
    add, integers = builder.add, builder.integers
    if value.anchors:
        name = add("Slice", name, integers(0), integers(value.features), integers(2))
    if value.blocks == 1:
        name = add("Squeeze", name, integers(0))
    else:
        name = add("Reshape", add("Transpose", name, perm=[1, 0, 2]), integers(0, value.blocks * value.features))
    return Value(name, "rows, features", value.blocks * value.features)


def describe(layer: Any) -> str:
    """Return the description of a layer or an operation for messages."""
    return f"the {'layer' if isinstance(layer, keras.Layer) else 'operation'} {layer.name!r} ({type(layer).__name__})"
