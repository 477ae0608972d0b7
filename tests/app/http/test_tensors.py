"""Tensors in the bodies of the Open Inference Protocol."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import InvalidInputError
from app.http.inference import InferenceRequest, InferenceResponse, RequestInput
from app.http.tensors import INTEGERS, choose_outputs, parse_request, read_ids, read_texts, write_answer
from app.tasks.outputs import TensorType

TYPES = (TensorType("probabilities", "FP32", (-1, 2)), TensorType("label", "BYTES", (-1,)))
ARRAYS: dict[str, NDArray[Any]] = {
    "probabilities": np.array([[0.1, 0.9], [1, 0]], np.float32),
    "label": np.array(["b", "ä"], object),
}
NONE = memoryview(b"")


def pack(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def parse(body: bytes, json_size: bytes | None = None) -> tuple[InferenceRequest, memoryview]:
    return parse_request(body, json_size, "text", 100)


def make_tensor(shape: list[int], datatype: str = "BYTES", data: Any = None, size: int | None = None) -> RequestInput:
    parameters = {} if size is None else {"binary_data_size": size}
    return RequestInput.model_validate(
        {"name": "text", "shape": shape, "datatype": datatype, "parameters": parameters, "data": data}
    )


def make_request(outputs: list[dict[str, Any]], **parameters: object) -> InferenceRequest:
    inputs = [{"name": "text", "shape": [1], "datatype": "BYTES"}]
    return InferenceRequest.model_validate({"inputs": inputs, "outputs": outputs, "parameters": parameters})


DOCUMENT = json.dumps({"id": "7", "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}]})


@pytest.mark.parametrize("json_size", [None, str(len(DOCUMENT)).encode(), b"000%d" % len(DOCUMENT)])
def test_a_body_may_be_json_only(json_size: bytes | None) -> None:
    request, binary = parse(DOCUMENT.encode(), json_size)
    assert request.id == "7" and request.inputs[0].data == ["good"] and bytes(binary) == b""


def test_binary_data_follows_the_json() -> None:
    request, binary = parse(DOCUMENT.encode() + b"\xff\x00", b"%d" % len(DOCUMENT))
    assert request.id == "7" and bytes(binary) == b"\xff\x00"


@pytest.mark.parametrize("text", ["", "good", "schön"])
def test_a_body_without_json_is_one_text_and_the_answer_is_binary(text: str) -> None:
    request, binary = parse(text.encode(), b"0")
    assert request.inputs[0].name == "text"
    assert read_texts(request.inputs[0], binary) == [text]
    assert choose_outputs(request, TYPES) == [(kind, True) for kind in TYPES]


@pytest.mark.parametrize("json_size", [b"", b"-1", b"1.0", b"one", b"0x1", b"999", b"9" * 50])
def test_a_wrong_size_of_the_json_is_refused(json_size: bytes) -> None:
    with pytest.raises(InvalidInputError, match="is not the size of the JSON in a body of") as raised:
        parse(DOCUMENT.encode(), json_size)
    assert raised.value.errors[0].loc == ["header", "inference-header-content-length"]


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"{", ["body", 1]),
        (b"[]", ["body"]),
        (b"{}", ["body", "inputs"]),
        (b'{"inputs": []}', ["body", "inputs"]),
        (b'{"inputs": [{"shape": [1], "datatype": "BYTES"}]}', ["body", "inputs", 0, "name"]),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(body: bytes, location: list[object]) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse(body)
    assert raised.value.errors[0].loc == location


@pytest.mark.parametrize(
    ("shape", "data"), [([2], ["a", "ä"]), ([2, 1], ["a", "ä"]), ([2, 1], [["a"], ["ä"]]), ([1], ["\ud83d"])]
)
def test_texts_in_json(shape: list[int], data: list[Any]) -> None:
    assert read_texts(make_tensor(shape, data=data), NONE) == ["a", "ä"][: shape[0]] or data == ["\ud83d"]


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_binary_texts(shape: list[int]) -> None:
    packed = pack(b"good", b"", "schön".encode())
    assert read_texts(make_tensor(shape, size=len(packed)), memoryview(packed)) == ["good", "", "schön"]


@pytest.mark.parametrize(
    ("tensor", "binary", "message"),
    [
        (make_tensor([1], "INT32", data=[1]), b"", "the datatype is 'INT32'; send BYTES"),
        (make_tensor([1], "X" * 1000, data=[1]), b"", "the datatype is 'XX"),
        (make_tensor([1, 2], data=["a", "b"]), b"", r"the shape is \[1, 2\]; send \[texts\] or \[texts, 1\]"),
        (make_tensor([2], data=["a"]), b"", r"the data has 1 elements, its shape \[2\] has 2; send all"),
        (make_tensor([1], data=[]), b"", "the data has 0 elements"),
        (make_tensor([2, 1], data=[["a", "b"], []]), b"", "data.0: the row is not a list of 1"),
        (make_tensor([2, 1], data=[["a"], "b"]), b"", "data.1: the row is not a list of 1"),
        (make_tensor([2], data=["a", 5]), b"", "data.1: the element is not a text"),
        (make_tensor([1], data=[["a"]]), b"", "data.0: the element is not a text"),
        (make_tensor([1]), b"", "neither data nor binary_data_size"),
        (make_tensor([1], data=["a"], size=5), pack(b"a"), "both data and binary_data_size"),
        (make_tensor([1], data=["a"]), b"more", "the input has 0 bytes, 4 follow the JSON"),
        (make_tensor([1], size=5), b"", "the input has 5 bytes, 0 follow the JSON"),
        (make_tensor([1], size=3), b"\0\0\0", "data.0: the tensor ends within text 0"),
        (make_tensor([1], size=5), b"\x02\0\0\0a", "data.0: the tensor ends within text 0"),
        (make_tensor([1], size=4), b"\xff\xff\xff\xff", "data.0: the tensor ends within text 0"),
        (make_tensor([2], size=5), pack(b"a"), "data.1: the tensor ends within text 1"),
        (make_tensor([1], size=10), pack(b"a", b"b"), "5 bytes follow the last text"),
        (
            make_tensor([2], size=10),
            pack(b"a", b"\xff"),
            "data.1: the text is not valid: byte 0 .* is not UTF-8; send UTF-8",
        ),
    ],
)
def test_texts_that_do_not_fit_are_refused(tensor: RequestInput, binary: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as raised:
        read_texts(tensor, memoryview(binary))
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("datatype", INTEGERS)
def test_ids_of_every_type_of_integers(datatype: str) -> None:
    expected = np.array([[1, 2, 3], [4, 5, 127]])
    packed = expected.astype(INTEGERS[datatype]).tobytes()
    for data in ([1, 2, 3, 4, 5, 127], [[1, 2, 3], [4, 5, 127]]):
        assert (read_ids(make_tensor([2, 3], datatype, data=data), NONE) == expected).all()
    binary = read_ids(make_tensor([2, 3], datatype, size=len(packed)), memoryview(packed))
    assert (binary == expected).all() and binary.shape == (2, 3)


@pytest.mark.parametrize(
    ("tensor", "binary", "message"),
    [
        (make_tensor([1, 1], "BYTES", data=["a"]), b"", "the datatype is 'BYTES'; send INT32"),
        (make_tensor([1, 1], "FP32", data=[1.0]), b"", "the datatype is 'FP32'; send INT32"),
        (make_tensor([1], "INT32", data=[1]), b"", r"the shape is \[1\]; send \[rows, ids\]"),
        (make_tensor([1, 2], "INT32", data=[1]), b"", "the data has 1 elements"),
        (make_tensor([2, 2], "INT32", data=[[1, 2, 3], [4]]), b"", "data.0: the row is not a list of 2"),
        (make_tensor([1, 2], "INT32", data=[1, 2.0]), b"", "an element is not a whole number"),
        (make_tensor([1, 2], "INT32", data=[1, True]), b"", "an element is not a whole number"),
        (make_tensor([1, 2], "INT32", data=[1, "2"]), b"", "an element is not a whole number"),
        (make_tensor([1, 1], "INT32", data=[2**31]), b"", "an element is out of the range of INT32"),
        (make_tensor([1, 1], "INT64", data=[10**400]), b"", "an element is out of the range of INT64"),
        (make_tensor([1, 2], "INT32", size=7), bytes(7), "the tensor has 7 bytes, INT32 with its shape has 8"),
        (make_tensor([2**31, 2**31], "INT64", size=8), bytes(8), "the tensor has 8 bytes"),
    ],
)
def test_ids_that_do_not_fit_are_refused(tensor: RequestInput, binary: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_ids(tensor, memoryview(binary))


@pytest.mark.parametrize(
    ("outputs", "parameters", "chosen"),
    [
        ([], {}, [(0, False), (1, False)]),
        ([], {"binary_data_output": True}, [(0, True), (1, True)]),
        ([{"name": "label"}], {}, [(1, False)]),
        ([{"name": "label"}, {"name": "probabilities"}], {"binary_data_output": True}, [(1, True), (0, True)]),
        (
            [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}],
            {},
            [(1, True), (0, False)],
        ),
        ([{"name": "label", "parameters": {"binary_data": False}}], {"binary_data_output": True}, [(1, False)]),
    ],
)
def test_a_request_chooses_outputs_and_their_form(
    outputs: list[dict[str, Any]], parameters: dict[str, object], chosen: list[tuple[int, bool]]
) -> None:
    expected = [(TYPES[index], is_binary) for index, is_binary in chosen]
    assert choose_outputs(make_request(outputs, **parameters), TYPES) == expected


@pytest.mark.parametrize(("names", "message"), [(["logits"], "is not one of this model"), (["label"] * 2, "twice")])
def test_a_wrong_output_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{message}; the outputs are probabilities, label") as raised:
        choose_outputs(make_request([{"name": name} for name in names]), TYPES)
    assert raised.value.errors[0].loc == ["body", "outputs", len(names) - 1, "name"]


def make_answer(request_id: str | None = None) -> InferenceResponse:
    return InferenceResponse(model_name="m", model_version="3", id=request_id, outputs=[])


def test_an_answer_in_json() -> None:
    content, size = write_answer(make_answer("7"), [(kind, False) for kind in TYPES], ARRAYS)
    assert size is None
    assert json.loads(content) == {
        "model_name": "m",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.1, 0.9, 1.0, 0.0]},
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["b", "ä"]},
        ],
    }


def test_a_binary_answer() -> None:
    content, size = write_answer(make_answer(), [(TYPES[1], True), (TYPES[0], True)], ARRAYS)
    document = json.loads(content[:size])
    assert "id" not in document
    assert document["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 11}},
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}},
    ]
    assert content[size:] == pack(b"b", "ä".encode()) + struct.pack("<4f", 0.1, 0.9, 1, 0)


def test_an_answer_may_have_both_forms() -> None:
    arrays = ARRAYS | {"is_readable": np.array([True, False])}
    kinds = [(TensorType("is_readable", "BOOL", (-1,)), True), (TYPES[1], False)]
    content, size = write_answer(make_answer(), kinds, arrays)
    assert json.loads(content[:size])["outputs"][1]["data"] == ["b", "ä"]
    assert content[size:] == b"\x01\x00"
    content, _ = write_answer(make_answer(), [(kinds[0][0], False)], arrays)
    assert json.loads(content)["outputs"][0]["data"] == [True, False]
