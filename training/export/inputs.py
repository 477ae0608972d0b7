"""The inputs of a graph: rows padded on the right, converted for the layers of the network."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from bundle.codec import Codec
from training.export.values import LENGTHS, Translation, Value

# The name of the rows' input, by the kind of their numbers; published graphs have these names.
_NAMES = {"f": "letters", "i": "ids"}


def name_rows(codec: Codec) -> str:
    """Return the name of the graph's input for the rows of a codec."""
    return _NAMES[codec.padding.dtype.kind]


def is_one_step(codec: Codec) -> bool:
    """Return whether the network reads a row as the features of a single step."""
    steps: int = codec.pad([]).shape[1]
    return steps != codec.length


def describe_inputs(codec: Codec) -> list[onnx.ValueInfoProto]:
    """Return the inputs of the graph: the rows, [rows, steps], and their lengths, int32 [rows]."""
    row_type = helper.np_dtype_to_tensor_dtype(codec.padding.dtype)
    return [
        helper.make_tensor_value_info(name_rows(codec), row_type, ["rows", "steps"]),
        helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["rows"]),
    ]


def begin(translation: Translation) -> Value:
    """Return the input of the first layer."""
    codec, add, integers = translation.codec, translation.builder.add, translation.builder.integers
    rows = _pad(translation) if translation.every_step else name_rows(codec)
    if is_one_step(codec):
        return Value(add("Unsqueeze", rows, integers(0)), "steps, rows, features", codec.length)
    steps = add("Transpose", rows, perm=[1, 0])
    if codec.pad([]).ndim == 3:
        return Value(add("Unsqueeze", steps, integers(-1)), "steps, rows, features", 1)
    return Value(steps, "steps, rows", 1)


def _pad(translation: Translation) -> str:
    """Return the rows as Keras reads them: padded to the full length, on the left or on the right."""
    codec, builder = translation.codec, translation.builder
    add, constant, integers = builder.add, builder.constant, builder.integers
    from_the_end = np.arange(-codec.length, 0, dtype=np.int64)[np.newaxis]
    lengths = add("Cast", add("Unsqueeze", LENGTHS, integers(1)), to=TensorProto.INT64)
    if codec.preprocessing.pads_right:
        steps = constant(from_the_end + codec.length)
        is_padding = add("Not", add("Less", steps, lengths))
        places = add("Min", steps, add("Sub", lengths, integers(1)))  # for padding, the last step of the row
    else:
        places = add("Add", constant(from_the_end), lengths)
        is_padding = add("Less", places, integers(0))
    found = add("GatherElements", name_rows(codec), add("Max", places, integers(0)), axis=1)
    return add("Where", is_padding, constant(np.array(codec.padding)), found)
