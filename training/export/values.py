"""What is known of the tensors of a graph while a network is translated, and how their layouts are changed."""

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
    """A translated network; `unmasked` are its LSTMs that read the padding but need not run it."""

    model: onnx.ModelProto
    every_step: bool
    unmasked: tuple[UnmaskedLSTM, ...]


class NeedsEveryStepError(Exception):
    """Something reads padding behind a row."""


@dataclass(frozen=True)
class Mask:
    """Which steps are no padding. The lengths say it, so that nothing is computed until it is needed."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph, whose axes are those that `layout` names.

    The features are in blocks, one for each direction of an LSTM, with anchors behind each.
    """

    name: str
    layout: Literal["rows, features", "steps, rows", "steps, rows, features", "steps, blocks, rows, features"]
    features: int  # of a block, without anchors
    blocks: int = 1
    anchors: int = 0
    is_zero_at_padding: bool = False


@dataclass
class Translation:
    """A network that is being translated.

    Attributes:
        codec: of the rows that it reads.
        with_anchors: whether the graph is one to quantise: see `lstm`.
        every_step: whether a row takes all steps of the network.
        states: those of its unmasked LSTMs; where there are none, they are taken for zero.
        builder: of the graph.
        unmasked: the unmasked LSTMs that were found.
        read: what the first layer reads.
    """

    codec: Codec
    with_anchors: bool = False
    every_step: bool = False
    states: Mapping[str, States] = field(default_factory=dict)
    builder: Builder = field(default_factory=Builder)
    unmasked: list[UnmaskedLSTM] = field(default_factory=list)
    read: Value | None = None


# Takes the translation, a layer or an operation of Keras, and what that is given; adds nodes, and returns the output.
Translator = Callable[..., Value | Mask]


def flatten(builder: Builder, value: Value, without_anchors: Any = None) -> Value:
    """Return the outputs of an LSTM as [steps, rows, features], its blocks behind one another.

    Raises:
        ExportError: they have anchors, which the layer that reads them does not know.
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
    """Return what an LSTM has of each row, [blocks, rows, features], as [rows, features], without anchors."""
    add, integers = builder.add, builder.integers
    if value.anchors:
        name = add("Slice", name, integers(0), integers(value.features), integers(2))
    if value.blocks == 1:
        name = add("Squeeze", name, integers(0))
    else:
        name = add("Reshape", add("Transpose", name, perm=[1, 0, 2]), integers(0, value.blocks * value.features))
    return Value(name, "rows, features", value.blocks * value.features)


def describe(layer: Any) -> str:
    """Return what a message calls a layer or an operation."""
    return f"the {'layer' if isinstance(layer, keras.Layer) else 'operation'} {layer.name!r} ({type(layer).__name__})"
