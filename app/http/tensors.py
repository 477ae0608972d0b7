"""Tensors in the bodies of the Open Inference Protocol: in JSON, or binary after the JSON. Free of FastAPI.

Source of the binary form:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import re
import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import FieldProblem, InvalidInputError
from app.http.body import parse_json, validate
from app.http.inference import (
    InferenceRequest,
    InferenceResponse,
    InputParameters,
    RequestInput,
    RequestParameters,
    ResponseOutput,
    ResponseParameters,
)
from app.tasks.base import round_probability
from app.tasks.outputs import Arrays, TensorType
from bundle.errors import explain

# Bytes of the JSON, if binary tensors follow. With 0 there is no JSON: the body is the only input, the outputs binary.
JSON_SIZE_HEADER = "inference-header-content-length"

INTEGERS = {
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
_LENGTH = struct.Struct("<I")  # before each text
_SIZE = re.compile(rb"[0-9]{1,18}")

_DATA = ("inputs", 0, "data")
_SHAPE = ("inputs", 0, "shape")
_BINARY_SIZE = ("inputs", 0, "parameters", "binary_data_size")


def parse_request(
    body: bytes, json_size: bytes | None, raw_input: str, most_values: int
) -> tuple[InferenceRequest, memoryview]:
    """Return a request, and the bytes of its input if that is binary.

    Args:
        body: JSON, which bytes may follow.
        json_size: the value of `JSON_SIZE_HEADER`.
        raw_input: name of the text tensor that a body without JSON is.
        most_values: in the JSON.

    Raises:
        InvalidInputError: the body is not such a request.
    """
    size = len(body) if json_size is None else _read_size(json_size, len(body))
    if json_size is not None and size == 0:
        return _make_raw_request(body, raw_input)
    return validate(InferenceRequest, parse_json(body[:size], most_values)), memoryview(body)[size:]


def read_texts(tensor: RequestInput, binary: memoryview) -> list[str]:
    """Return the texts of a tensor with the shape [texts] or [texts, 1].

    Raises:
        InvalidInputError: the tensor does not have this datatype and shape, or the elements do not fit.
    """
    if tensor.datatype != "BYTES":
        raise _refuse_datatype(tensor, "BYTES")
    if tensor.shape[1:] not in ([], [1]):
        raise _make_error("shape", _SHAPE, f"the shape is {tensor.shape}; send [texts] or [texts, 1]")
    if _is_binary(tensor, binary):
        return _read_binary_texts(binary, tensor.shape[0])
    texts = _flatten(tensor)
    wrong = [index for index, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        raise _make_error("string_type", (*_DATA, wrong[0]), "the element is not a text; send texts only")
    return texts


def read_ids(tensor: RequestInput, binary: memoryview) -> NDArray[np.integer[Any]]:
    """Return the ids of a tensor, integers [rows, steps].

    Raises:
        InvalidInputError: the tensor does not have such a datatype and shape, or the elements do not fit.
    """
    if tensor.datatype not in INTEGERS:
        raise _refuse_datatype(tensor, "INT32")
    if len(tensor.shape) != 2:
        raise _make_error("shape", _SHAPE, f"the shape is {tensor.shape}; send [rows, ids], with padding in short rows")
    dtype = np.dtype(INTEGERS[tensor.datatype])
    if _is_binary(tensor, binary):
        expected = prod(tensor.shape) * dtype.itemsize
        if len(binary) != expected:
            message = f"the tensor has {len(binary)} bytes, {tensor.datatype} with its shape has {expected}; send all"
            raise _make_error("binary_size", _BINARY_SIZE, message)
        return np.frombuffer(binary, dtype).reshape(tensor.shape)
    elements = _flatten(tensor)
    if set(map(type, elements)) != {int}:
        raise _make_error("int_type", _DATA, "an element is not a whole number; send ids")
    try:
        return np.array(elements, dtype).reshape(tensor.shape)
    except OverflowError as error:
        raise _make_error(
            "int_range", _DATA, f"an element is out of the range of {tensor.datatype}; send ids"
        ) from error


def choose_outputs(request: InferenceRequest, types: Sequence[TensorType]) -> list[tuple[TensorType, bool]]:
    """Return the outputs that a request asks for in their order, and whether each is to be binary.

    Raises:
        InvalidInputError: there is no such output, or one is named twice.
    """
    by_name = {kind.name: kind for kind in types}
    default = request.parameters.binary_data_output
    chosen: dict[str, tuple[TensorType, bool]] = {}
    for index, output in enumerate(request.outputs):
        if output.name not in by_name or output.name in chosen:
            wrong = "is named twice" if output.name in chosen else "is not one of this model"
            message = f"the output {output.name[:80]!r} {wrong}; the outputs are {', '.join(by_name)}"
            raise _make_error("output", ("outputs", index, "name"), message)
        binary = output.parameters.binary_data
        chosen[output.name] = by_name[output.name], default if binary is None else binary
    return [*chosen.values()] or [(kind, default) for kind in types]


def write_answer(
    answer: InferenceResponse, outputs: Sequence[tuple[TensorType, bool]], arrays: Arrays
) -> tuple[bytes, int | None]:
    """Return the body of an answer with these outputs, and the size of its JSON if binary tensors follow.

    Args:
        answer: without outputs.
        outputs: which ones, and whether each is binary.
        arrays: the outputs by name.
    """
    tensors: list[bytes] = []
    for kind, is_binary in outputs:
        array = arrays[kind.name]
        output = ResponseOutput(name=kind.name, shape=[*array.shape], datatype=kind.datatype)
        if is_binary:
            tensors.append(_to_bytes(array))
            output.parameters = ResponseParameters(binary_data_size=len(tensors[-1]))
        else:
            output.data = _to_list(array)
        answer.outputs.append(output)
    content = answer.model_dump_json(exclude_none=True).encode()
    return (b"".join([content, *tensors]), len(content)) if tensors else (content, None)


def _read_size(value: bytes, most: int) -> int:
    """Return the size of the JSON in a body of `most` bytes."""
    if not _SIZE.fullmatch(value) or int(value) > most:
        came = value[:20].decode("latin-1")
        message = f"{came!r} is not the size of the JSON in a body of {most} bytes; send a whole number up to that"
        raise InvalidInputError([FieldProblem(type="int_parsing", loc=["header", JSON_SIZE_HEADER], msg=message)])
    return int(value)


def _make_raw_request(body: bytes, name: str) -> tuple[InferenceRequest, memoryview]:
    """Return the request that a body without JSON is: one text, whose length is not in the body."""
    binary = _LENGTH.pack(len(body)) + body
    tensor = RequestInput(
        name=name, shape=[1], datatype="BYTES", parameters=InputParameters(binary_data_size=len(binary))
    )
    request = InferenceRequest(inputs=[tensor], parameters=RequestParameters(binary_data_output=True))
    return request, memoryview(binary)


def _is_binary(tensor: RequestInput, binary: memoryview) -> bool:
    """Return whether the elements of a tensor are the bytes after the JSON."""
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        have = "neither data nor" if size is None else "both data and"
        raise _make_error("data", _DATA, f"the input has {have} binary_data_size; send one of them")
    if len(binary) != (size or 0):
        message = f"the input has {size or 0} bytes, {len(binary)} follow the JSON; check also {JSON_SIZE_HEADER}"
        raise _make_error("binary_size", _BINARY_SIZE, message)
    return size is not None


def _read_binary_texts(binary: memoryview, count: int) -> list[str]:
    """Return texts, each of which is preceded by its length."""
    texts: list[str] = []
    at = 0
    for index in range(count):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(binary, at)[0] if start <= len(binary) else start
        if at > len(binary):
            message = (
                f"the tensor ends within text {index} (the first is 0); send 4 bytes with its length, then the text"
            )
            raise _make_error("binary_size", (*_DATA, index), message)
        try:
            texts.append(str(binary[start:at], "utf-8"))
        except UnicodeDecodeError as error:
            message = f"the text is not valid: {explain(error)}; send UTF-8"
            raise _make_error("string_unicode", (*_DATA, index), message) from error
    if at < len(binary):
        message = f"{len(binary) - at} bytes follow the last text; send as many texts as the shape has"
        raise _make_error("binary_size", _BINARY_SIZE, message)
    return texts


def _flatten(tensor: RequestInput) -> list[Any]:
    """Return the elements of a tensor in JSON, which are flat or in the lists of its shape."""
    elements = tensor.data or []
    if len(tensor.shape) == 2 and elements and isinstance(elements[0], list):
        for index, row in enumerate(elements):
            if not isinstance(row, list) or len(row) != tensor.shape[1]:
                raise _make_error(
                    "shape", (*_DATA, index), f"the row is not a list of {tensor.shape[1]}; send lists of the shape"
                )
        elements = [*chain.from_iterable(elements)]
    if len(elements) != prod(tensor.shape):
        message = f"the data has {len(elements)} elements, its shape {tensor.shape} has {prod(tensor.shape)}; send all"
        raise _make_error("shape", _DATA, message)
    return elements


def _to_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as a binary tensor."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [text.encode() for text in array.flat]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def _to_list(array: NDArray[Any]) -> list[Any]:
    """Return the elements of an array for JSON."""
    return [*map(round_probability, array.flat)] if array.dtype == np.float32 else array.ravel().tolist()


def _refuse_datatype(tensor: RequestInput, expected: str) -> InvalidInputError:
    message = f"the datatype is {tensor.datatype[:80]!r}; send {expected}"
    return _make_error("datatype", ("inputs", 0, "datatype"), message)


def _make_error(kind: str, place: tuple[str | int, ...], message: str) -> InvalidInputError:
    return InvalidInputError([FieldProblem(type=kind, loc=["body", *place], msg=message)])
