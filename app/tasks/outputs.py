"""The outputs of a network as arrays with names: what a client gets that asks for tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.runtime.queue import Output
from bundle.tasks import count_outputs

Datatype = Literal["BOOL", "BYTES", "FP32", "INT32"]  # the names of the Open Inference Protocol
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorType:
    """A tensor that a model takes or returns, with one row for each input.

    Attributes:
        name: of the tensor.
        datatype: of its elements; `BYTES` is text in UTF-8.
        shape: its axes, the inputs first; -1 where the size differs.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


def list_outputs(labels: Sequence[str]) -> tuple[TensorType, ...]:
    """Return the tensors that a model with these labels returns."""
    return (
        TensorType("probabilities", "FP32", (-1, count_outputs(labels))),
        TensorType("label", "BYTES", (-1,)),
        TensorType("is_readable", "BOOL", (-1,)),
    )


def arrange(labels: Sequence[str], outputs: Sequence[Output], is_readable: Sequence[bool]) -> Arrays:
    """Return the outputs of some rows as arrays.

    A row without anything that the network knows has no label, and all its classes are equally probable.

    Args:
        labels: of the model: see `count_outputs`.
        outputs: of the rows, float32 [outputs] each.
        is_readable: whether a row has anything that the network knows.

    Returns:
        `probabilities`, float32 [rows, outputs]; `label`, texts [rows]; `is_readable`, bool [rows].
    """
    readable = np.array(is_readable)
    probabilities = np.where(readable[:, np.newaxis], np.stack(outputs), np.float32(1 / len(labels)))
    likeliest = (probabilities[:, 0] >= 0.5).astype(int) if len(labels) == 2 else probabilities.argmax(axis=1)
    found = [labels[label] if is_read else "" for label, is_read in zip(likeliest, is_readable, strict=True)]
    return {"probabilities": probabilities, "label": np.array(found, object), "is_readable": readable}
