"""Inference by the Open Inference Protocol, asked of a real service."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from app.http.tensors import JSON_SIZE_HEADER
from app.settings import Settings
from bundle.reviews import ReviewCodec
from bundle.store import Store
from tests.app.conftest import Blocked, Log
from tests.conftest import SECONDS

TEXTS = ["A wonderful film.", "An awful, boring film!", "tender " * 50]
INFER = "/v2/models/sentiment/infer"


@pytest.fixture(scope="module")
def served(services: Callable[..., httpx.Client]) -> httpx.Client:
    return services(engine="onnx")


def make_texts(texts: list[Any], name: str = "text", **fields: Any) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": texts}], **fields}


def infer(client: httpx.Client, body: object, path: str = INFER, **headers: str) -> dict[str, Any]:
    """Return the data of the outputs by name."""
    response = client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def assert_problem(response: httpx.Response, status: int, message: str) -> dict[str, Any]:
    """Check that an error is a problem document that has the protocol's member, and return it."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["error"] == problem["detail"] and message in problem["error"]
    return problem


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_texts_are_judged_as_on_the_path_of_the_task(served: httpx.Client, name: str) -> None:
    answers = served.post("/sentiment/batch", json={"texts": TEXTS, "model": name}).json()["answers"]
    assert infer(served, make_texts(TEXTS), f"/v2/models/{name}/infer") == {
        "probabilities": [answer["probability_positive"] for answer in answers],
        "label": [answer["sentiment"] for answer in answers],
        "is_readable": [True] * 3,
    }


def test_letters_are_continued_as_on_the_path_of_the_task(served: httpx.Client) -> None:
    body = {"sequences": ["ABC", "x"], "top_k": 26}
    answers = served.post("/next-letter/batch", json=body).json()["answers"]
    outputs = infer(served, make_texts(["ABC", "x"], "sequence"), "/v2/models/next-letter/infer")
    assert outputs["label"] == [answer["next_letter"] for answer in answers]
    ranked = [{one["letter"]: one["probability"] for one in answer["top"]} for answer in answers]
    assert outputs["probabilities"] == [row[letter] for row in ranked for letter in sorted(row)]


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_the_answer_names_the_model_its_version_and_the_id_of_the_request(served: httpx.Client, version: str) -> None:
    body = make_texts(TEXTS, id="42", outputs=[{"name": "label"}])
    answer = served.post(f"/v2/models/sentiment{version}/infer", json=body).json()
    assert answer["outputs"][0]["shape"] == [3] and len(answer["outputs"]) == 1
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("sentiment", "1", "42")


def test_a_text_without_a_known_word_has_no_label(served: httpx.Client) -> None:
    outputs = infer(served, make_texts(["?", "", "wonderful"]))
    assert outputs["is_readable"] == [False, False, True]
    assert outputs["label"][:2] == ["", ""] and outputs["probabilities"][:2] == [0.5, 0.5]


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_ids_are_judged_as_their_texts(served: httpx.Client, small_store: Store, name: str, side: str) -> None:
    codec = small_store.open(name).codec
    assert isinstance(codec, ReviewCodec)
    rows = [codec.encode(text).ids for text in TEXTS]
    ids = np.zeros((3, codec.length + 2), np.int32)
    for place, row in zip(ids, rows, strict=True):
        place[slice(-len(row), None) if side == "left" else slice(len(row))] = row
    tensor = {"name": "ids", "shape": [*ids.shape], "datatype": "INT32", "data": ids.tolist()}
    path = f"/v2/models/{name}/infer"
    assert infer(served, {"inputs": [tensor]}, path) == infer(served, make_texts(TEXTS), path)


def test_tensors_are_binary_in_both_directions(served: httpx.Client) -> None:
    packed = b"".join(struct.pack("<I", len(text)) + text.encode() for text in TEXTS)
    tensor = {"name": "text", "shape": [3, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(packed)}}
    document = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    response = served.post(INFER, content=document + packed, headers={JSON_SIZE_HEADER: str(len(document))})
    assert response.headers["content-type"] == "application/octet-stream"
    size = int(response.headers[JSON_SIZE_HEADER])
    outputs = json.loads(response.content[:size])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [12, 36, 3]
    binary = response.content[size:]
    expected = infer(served, make_texts(TEXTS))
    assert np.array_equal(np.frombuffer(binary[:12], "<f4"), np.array(expected["probabilities"], np.float32))
    labels = b"".join(struct.pack("<I", len(label)) + label.encode() for label in expected["label"])
    assert binary[12:] == labels + b"\x01\x01\x01"


def test_a_body_without_json_is_one_text(served: httpx.Client) -> None:
    response = served.post(INFER, content=TEXTS[0].encode(), headers={JSON_SIZE_HEADER: "0"})
    size = int(response.headers[JSON_SIZE_HEADER])
    (expected,) = infer(served, make_texts(TEXTS[:1]))["probabilities"]
    assert np.frombuffer(response.content[size : size + 4], "<f4")[0] == np.float32(expected)


@pytest.mark.parametrize(
    ("body", "location", "message"),
    [
        (make_texts(["a"] * 41), ["inputs", 0, "shape"], "the batch has 41 items, the limit is 40"),
        (make_texts(["a", "w" * 5001]), ["inputs", 0, "data", 1], "the text has 5001 characters, the limit is 5000"),
        (make_texts(["a", 5]), ["inputs", 0, "data", 1], "the element is not a text"),
        (make_texts(["a"], "sequence"), ["inputs", 0, "name"], "the input 'sequence' is not one of this model"),
        (make_texts(["a"], outputs=[{"name": "logits"}]), ["outputs", 0, "name"], "is_readable"),
        (make_texts(["a"], parameters={"sequence_id": 5}), ["parameters", "sequence_id"], "keeps no state"),
        (
            {"inputs": [{"name": "ids", "shape": [1, 2], "datatype": "INT32", "data": [1, 99]}]},
            None,
            "99 at position 1",
        ),
        ({"inputs": [{"name": "ids", "shape": [1, 9000], "datatype": "INT32", "data": [1] * 9000}]}, None, "values"),
    ],
)
def test_a_wrong_field_is_named(
    served: httpx.Client, body: dict[str, Any], location: list[object] | None, message: str
) -> None:
    problem = assert_problem(served.post(INFER, json=body), 422, message)
    if location:
        assert problem["errors"][0]["loc"] == ["body", *location]


def test_letters_have_no_ids(served: httpx.Client) -> None:
    body = {"inputs": [{"name": "ids", "shape": [1, 1], "datatype": "INT32", "data": [1]}]}
    response = served.post("/v2/models/next-letter/infer", json=body)
    assert_problem(response, 422, "the input 'ids' is not one of this model; send sequence")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v2/models/sentimental/infer", "there is no model 'sentimental'"),
        ("/v2/models/sentiment/versions/2/infer", "there is no version 2 of sentiment; there are: 1"),
        (f"/v2/models/sentiment/versions/{'1' * 5000}/infer", "there is no label '1111"),
        (f"/v2/models/{'m' * 5000}/infer", "there is no model 'mmm"),
        ("/v2/models/sentiment/explain", "/v2/models/sentiment/explain; /docs shows what there is"),
    ],
)
def test_an_unknown_model_or_version_is_not_found(served: httpx.Client, path: str, message: str) -> None:
    response = served.post(path, json=make_texts(TEXTS))
    assert_problem(response, 404, message)
    assert len(response.content) < 2000


def test_every_content_type_is_accepted(served: httpx.Client) -> None:
    content = json.dumps(make_texts(TEXTS[:1])).encode()
    for headers in ({}, {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "application/json"}):
        assert served.post(INFER, content=content, headers=headers).status_code == 200


def test_only_post_is_answered(served: httpx.Client) -> None:
    response = served.get(INFER)
    assert response.headers["allow"] == "OPTIONS, POST"
    assert_problem(response, 405, "does not answer GET")


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("path", [INFER, "/sentiment/batch"])
def test_a_compressed_body_is_read(
    served: httpx.Client, settings: Settings, coding: str, compress: Callable[[bytes], bytes], path: str
) -> None:
    headers = {"content-encoding": coding, "content-type": "application/json"}
    body = make_texts(TEXTS) if path == INFER else {"texts": TEXTS}
    plain = served.post(path, json=body)
    assert served.post(path, content=compress(plain.request.content), headers=headers).content == plain.content
    bomb = compress(b" " * (settings.max_body_bytes + 1))
    assert len(bomb) < 1000
    response = served.post(path, content=bomb, headers=headers)
    assert response.status_code == 413 and f"the limit is {settings.max_body_bytes}" in response.json()["detail"]
    damaged = served.post(path, content=b"not compressed", headers=headers)
    assert damaged.status_code == 400 and f"the body is not valid {coding} data" in damaged.json()["detail"]


@pytest.mark.parametrize("path", [INFER, "/sentiment/batch"])
def test_another_coding_is_refused_with_the_known_ones(served: httpx.Client, path: str) -> None:
    response = served.post(path, json={"texts": TEXTS}, headers={"content-encoding": "br"})
    assert response.status_code == 415 and "the content-encoding is 'br'" in response.json()["detail"]
    assert response.json()["type"].endswith(":unsupported-coding")
    assert response.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_long_answer_is_compressed_if_the_client_accepts_it(served: httpx.Client, coding: str) -> None:
    body = make_texts(["wonderful"] * 40)
    for method, path, json_body in (
        ("POST", INFER, body),
        ("GET", "/models/sentiment", None),
        ("GET", "/openapi.json", None),
    ):
        compressed, plain = (
            served.request(method, path, json=json_body, headers={"accept-encoding": accepted})
            for accepted in (coding, "identity")
        )
        assert compressed.headers["content-encoding"] == coding and compressed.headers["vary"] == "accept-encoding"
        assert "content-encoding" not in plain.headers
        assert int(compressed.headers["content-length"]) < int(plain.headers["content-length"])
        assert compressed.content == plain.content


def ask_blocked(blocked: Blocked, body: object, **options: Any) -> httpx.Response:
    return blocked.client.post(INFER, json=body, **options)


def test_the_timeout_is_a_deadline_in_microseconds(blocked: Blocked) -> None:
    response = ask_blocked(blocked, make_texts(["good"], parameters={"timeout": 300_000}))
    assert assert_problem(response, 504, "the deadline passed")["type"].endswith(":deadline")
    with ThreadPoolExecutor() as threads:
        unlimited = threads.submit(ask_blocked, blocked, make_texts(["good"], parameters={"timeout": 0}))
        blocked.engine.let_through.set()
        assert unlimited.result(SECONDS).status_code == 200


def test_overload_is_rejected_before_the_elements_are_checked(blocked: Blocked, log: Log) -> None:
    wrong = make_texts([5])
    assert_problem(ask_blocked(blocked, wrong), 422, "the element is not a text")
    with blocked.full():
        response = ask_blocked(blocked, wrong)
        assert_problem(response, 503, "4 texts are waiting")
        assert int(response.headers["retry-after"]) >= 1
        assert log.wait_for(path=INFER, status=503)["model"] == "sentiment"
    assert blocked.batcher.waiting == 0


def test_inference_shares_batches_and_places_with_other_predictions(blocked: Blocked) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(blocked.ask)
        assert blocked.engine.started.get(timeout=SECONDS) == 1
        asked = [threads.submit(blocked.ask, 2), threads.submit(ask_blocked, blocked, make_texts(["good"] * 2))]
        blocked.wait_for_queue(4)
        assert_problem(ask_blocked(blocked, make_texts(["good"])), 503, "1 more have no place")
        blocked.engine.let_through.set()
        assert [answered.result().status_code for answered in (running, *asked)] == [200] * 3
    assert blocked.engine.started.get(timeout=SECONDS) == 4
