"""LSTM layers, with one or two directions, as nodes of a graph."""

from collections.abc import Sequence

import numpy as np
from keras import layers

from training.errors import ExportError
from training.export import lstm
from training.export.inputs import is_one_step
from training.export.values import (
    LENGTHS,
    Mask,
    NeedsEveryStepError,
    States,
    Translation,
    Translator,
    UnmaskedLSTM,
    Value,
    describe,
    flatten,
    join_blocks,
)


def _run_forwards(translation: Translation, layer: layers.LSTM, steps: Value, mask: Mask | None = None) -> Value:
    if mask is None and translation.codec.preprocessing.pads_right and not translation.every_step:
        raise NeedsEveryStepError
    return _run(translation, layer.name, [layer], steps, mask)


def _run_both_ways(
    translation: Translation, layer: layers.Bidirectional, steps: Value, mask: Mask | None = None
) -> Value:
    lstms = [layer.forward_layer, layer.backward_layer]
    if layer.merge_mode != "concat" or any(type(each) is not layers.LSTM for each in lstms):
        raise ExportError(f"{describe(layer)} is not a bidirectional LSTM with merge_mode='concat'")
    if mask is None and not translation.every_step:
        raise NeedsEveryStepError
    return _run(translation, layer.name, lstms, steps, mask)


TRANSLATORS: dict[str, Translator] = {"Bidirectional": _run_both_ways, "LSTM": _run_forwards}


def _run(translation: Translation, name: str, lstms: Sequence[layers.LSTM], steps: Value, mask: Mask | None) -> Value:
    """Return the outputs of the LSTMs of a layer, one for each direction."""
    forwards, builder = lstms[0], translation.builder
    if forwards.go_backwards or forwards.stateful or forwards.return_state:
        raise ExportError(f"the layer {name!r} only goes backwards, is stateful or returns its state")
    inputs = flatten(builder, steps)
    anchors = 0
    if translation.with_anchors:
        if not inputs.anchors or not all(map(lstm.is_standard, lstms)):
            raise ExportError(
                f"the layer {name!r} cannot have 8 bits: it must read word vectors or another LSTM, and have the "
                "activations tanh and sigmoid"
            )
        anchors = lstm.count_anchors(forwards.units)
    weights = [lstm.order_weights(each, inputs.blocks, inputs.anchors, anchors) for each in lstms]
    is_unmasked = mask is None and not translation.every_step
    steps_taken = _count_steps(translation, is_unmasked)
    known = translation.states.get(name) if is_unmasked else None
    states = _begin_states(translation, known, steps_taken, len(lstms), forwards.units, anchors)
    outputs, hidden, carry = (f"{name}/{part}" for part in ("outputs", "hidden", "carry"))
    builder.add_of_many(
        "LSTM",
        [
            inputs.name,
            *(builder.constant(np.stack(each)) for each in zip(*weights, strict=True)),
            steps_taken,
            *states,
        ],
        [outputs, hidden, carry],
        hidden_size=forwards.units + anchors,
        direction="bidirectional" if len(lstms) == 2 else "forward",
        **lstm.describe_activations(lstms),
    )
    if is_unmasked:
        translation.unmasked.append(UnmaskedLSTM(name, hidden, carry))
    value = Value(outputs, "steps, blocks, rows, features", forwards.units, len(lstms), anchors, True)
    return value if forwards.return_sequences else join_blocks(builder, value, hidden)


def _count_steps(translation: Translation, is_unmasked: bool) -> str:
    """Return the name of the number of steps of each row, int32 [rows]."""
    builder, codec = translation.builder, translation.codec
    if is_unmasked:  # an empty row takes one step of padding, because ONNX Runtime returns zeros for no steps
        return builder.add("Max", LENGTHS, builder.number(1, np.int32))
    if not translation.every_step:
        return LENGTHS
    steps = builder.number(1 if is_one_step(codec) else codec.length, np.int32)
    return builder.add("Expand", steps, builder.add("Shape", LENGTHS))


def _begin_states(
    translation: Translation, known: States | None, steps: str, blocks: int, units: int, anchors: int
) -> tuple[str, str]:
    """Return the names of the first states of rows, [blocks, rows, units]; empty names if the states are zero."""
    builder = translation.builder
    add, integers = builder.add, builder.integers
    if known:
        padding_steps = add("Sub", builder.number(translation.codec.length, np.int32), steps)
        tables = (builder.constant(table) for table in lstm.make_first_states(known, anchors))
        hidden, carry = (add("Unsqueeze", add("Gather", table, padding_steps), integers(0)) for table in tables)
        return hidden, carry
    if not anchors:
        return "", ""
    zeros = np.zeros((blocks, 1, units), np.float32)
    shape = add("Concat", integers(blocks), add("Shape", LENGTHS), integers(units + anchors), axis=0)
    states = (builder.constant(each) for each in lstm.make_first_states((zeros, zeros), anchors))
    hidden, carry = (add("Expand", each, shape) for each in states)
    return hidden, carry
