"""Masks, and pooling over the unmasked steps, as nodes of a graph."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from training.errors import ExportError
from training.export.builder import Builder
from training.export.inputs import name_rows
from training.export.values import LENGTHS, Mask, Translation, Translator, Value, describe, join_blocks

_POOLED_STEPS = 8  # steps of one pooling window for the maximum


def _keep_mask(_: Translation, __: Any, mask: Any, *___: Any, **____: Any) -> Mask:
    return _expect_mask(mask)


def _find_padding(translation: Translation, operation: Any, inputs: Value, padding: Any) -> Mask:
    if translation.every_step:
        raise ExportError(f"{describe(operation)} masks padding that another layer reads, which cannot be exported")
    if inputs != translation.read or float(padding) != float(translation.codec.padding):
        raise ExportError(f"{describe(operation)} masks values that are not the padding, which cannot be exported")
    return Mask()


def _clear_padding(translation: Translation, _: Any, value: Value, mask: Mask) -> Value:
    """Return a value multiplied by the mask."""
    _expect_mask(mask)
    if value.is_zero_at_padding:
        return value
    builder = translation.builder
    present = builder.add("Cast", _find_present(translation, value, mask), to=TensorProto.FLOAT)
    return replace(value, name=builder.add("Mul", value.name, present), is_zero_at_padding=True)


def _fill_padding(translation: Translation, _: Any, mask: Mask, value: Value, filling: float) -> Value:
    """Return a value with its padding replaced by a number."""
    builder = translation.builder
    present = _find_present(translation, value, mask)
    name = builder.add("Where", present, value.name, builder.number(filling, np.float32))
    return replace(value, name=name, is_zero_at_padding=False)


def _sum(translation: Translation, operation: Any, value: Value | Mask) -> Value:
    builder = translation.builder
    if isinstance(value, Mask):
        _expect_steps(operation)
        lengths = builder.add("Unsqueeze", LENGTHS, builder.integers(1))
        return Value(builder.add("Cast", lengths, to=TensorProto.FLOAT), "rows, features", 1)
    if not value.is_zero_at_padding:
        raise ExportError(f"{describe(operation)} adds up padding, which cannot be exported")
    _expect_steps(operation)
    return _join(builder, value, builder.add("ReduceSum", value.name, builder.integers(0), keepdims=0))


def _find_maximum(translation: Translation, operation: Any, value: Value) -> Value:
    _expect_steps(operation)
    if value.is_zero_at_padding:
        raise ExportError(f"{describe(operation)} compares padding, which cannot be exported")
    builder = translation.builder
    add, integers = builder.add, builder.integers
    # A single `ReduceMax` over the steps takes twice as long as these operations: it compares number by number.
    found = add("Unsqueeze", add("Flatten", value.name, axis=1), integers(0, 1))
    for _ in range(2):
        found = add("MaxPool", found, kernel_shape=[_POOLED_STEPS, 1], strides=[_POOLED_STEPS, 1], ceil_mode=1)
    maximum = add("ReduceMax", found, integers(0, 1, 2), keepdims=0)
    if value.layout == "steps, blocks, rows, features":
        shape = integers(value.blocks, -1, value.features + value.anchors)
    else:
        shape = integers(-1, value.blocks * value.features)
    return _join(builder, value, add("Reshape", maximum, shape))


def _divide(translation: Translation, _: Any, value: Value, divisor: Value) -> Value:
    return replace(value, name=translation.builder.add("Div", value.name, divisor.name))


def _concatenate(translation: Translation, operation: Any, values: Sequence[Value]) -> Value:
    if operation.axis != -1 or any(value.layout != "rows, features" for value in values):
        raise ExportError(f"{describe(operation)} joins values along an axis that is not the features of rows")
    name = translation.builder.add("Concat", *(value.name for value in values), axis=-1)
    return Value(name, "rows, features", sum(value.features for value in values))


TRANSLATORS: dict[str, Translator] = {
    "Any": _keep_mask,
    "Cast": _keep_mask,
    "Concatenate": _concatenate,
    "ExpandDims": _keep_mask,
    "Max": _find_maximum,
    "Multiply": _clear_padding,
    "NotEqual": _find_padding,
    "Sum": _sum,
    "TrueDivide": _divide,
    "Where": _fill_padding,
}


def _find_present(translation: Translation, value: Value, mask: Mask) -> str:
    """Return the name of the mask in the layout of a value, bool."""
    _expect_mask(mask)
    builder = translation.builder
    add, integers, number = builder.add, builder.integers, builder.number
    count = add("Squeeze", add("Shape", name_rows(translation.codec), start=1, end=2), integers(0))
    numbers = add("Range", number(0, np.int64), count, number(1, np.int64))
    steps = add("Unsqueeze", add("Cast", numbers, to=TensorProto.INT32), integers(1))
    present = add("Less", steps, LENGTHS)
    return add("Unsqueeze", present, integers(*((1, 3) if value.layout.startswith("steps, blocks") else (2,))))


def _join(builder: Builder, value: Value, pooled: str) -> Value:
    """Return the pooled steps of a value as [rows, features]."""
    if value.layout == "steps, blocks, rows, features":
        return join_blocks(builder, value, pooled)
    return Value(pooled, "rows, features", value.blocks * value.features)


def _expect_mask(value: Any) -> Mask:
    if not isinstance(value, Mask):
        raise TypeError(value)
    return value


def _expect_steps(operation: Any) -> None:
    if operation.axis not in (1, [1], (1,)) or operation.keepdims:
        raise ExportError(f"{describe(operation)} pools over an axis that is not the steps, which cannot be exported")
