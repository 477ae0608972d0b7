"""Every documented error, asked of a real service."""

import json
from typing import Any

import httpx
import pytest

from app.settings import Settings

JSON = {"content-type": "application/json"}


def assert_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem document of this kind, and return it."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"tag:lstm-serve,2026:{kind}"
    assert problem["status"] == status
    assert problem["instance"] == response.request.url.path
    assert problem["title"] and problem["detail"]
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize(
    ("path", "body", "location"),
    [
        ("/sentiment", {}, ["body", "text"]),
        ("/sentiment", {"text": 5}, ["body", "text"]),
        ("/sentiment", {"text": "good", "txet": 1}, ["body", "txet"]),
        ("/sentiment", {"text": "good", "model": "m" * 64}, ["body", "model"]),
        ("/sentiment", {"text": "w" * 5001}, ["body", "text"]),
        ("/sentiment/batch", {"texts": []}, ["body", "texts"]),
        ("/sentiment/batch", {"texts": ["a", None]}, ["body", "texts", 1]),
        ("/sentiment/batch", {"texts": ["a", "w" * 5001]}, ["body", "texts", 1]),
        ("/sentiment/batch", {"texts": ["a"] * 41}, ["body", "texts"]),
        ("/next-letter", {"sequence": ["A"]}, ["body", "sequence"]),
        ("/next-letter", {"sequence": "A" * 5001}, ["body", "sequence"]),
        ("/next-letter/batch", {"sequences": "ABC"}, ["body", "sequences"]),
        ("/next-letter/batch", {"sequences": ["A"] * 41}, ["body", "sequences"]),
        ("/sentiment", [], ["body"]),
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, path: str, body: object, location: list[object]) -> None:
    problem = assert_problem(client.post(path, json=body), 422, "invalid-input")
    assert [error["loc"] for error in problem["errors"]] == [location]
    assert problem["errors"][0]["msg"] in problem["detail"]
    assert len(json.dumps(problem)) < 1000


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"text": "a"}}', b"[" * 10_000, b'{"text": ' + b"9" * 5000 + b"}"]
)
def test_what_is_not_json_is_refused(client: httpx.Client, body: bytes) -> None:
    problem = assert_problem(client.post("/sentiment", content=body, headers=JSON), 422, "invalid-input")
    assert problem["errors"][0]["loc"][0] == "body"


@pytest.mark.parametrize("body", [b'{"text": NaN}', b'{"text": 1e999}', b'{"\\ud800": "\\ud800"}', b'{"text": {}}'])
def test_values_that_json_cannot_carry_back_are_refused(client: httpx.Client, body: bytes) -> None:
    assert_problem(client.post("/sentiment", content=body, headers=JSON), 422, "invalid-input")


def test_a_letter_that_utf_8_cannot_carry_back_is_refused(client: httpx.Client) -> None:
    response = client.post("/next-letter", content=rb'{"sequence": "A\ud800"}', headers=JSON)
    problem = assert_problem(response, 422, "invalid-input")
    assert problem["errors"][0]["input"] == "\\ud800"


@pytest.mark.parametrize(
    "body",
    [{"texts": [1] * 5000}, {"texts": ["good"], **{f"field{k}": k for k in range(99)}}, {"texts": [[]] * 5000}],
)
def test_a_request_with_thousands_of_errors_gets_a_short_answer(client: httpx.Client, body: dict[str, object]) -> None:
    response = client.post("/sentiment/batch", json=body)
    problem = assert_problem(response, 422, "invalid-input")
    assert len(problem["errors"]) <= 11
    assert len(response.content) < 5000


def test_a_long_key_is_not_repeated_at_length(client: httpx.Client) -> None:
    response = client.post("/sentiment", json={"text": "good", "k" * 10_000: 1})
    assert_problem(response, 422, "invalid-input")
    assert len(response.content) < 1000


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_another_content_type_is_refused(client: httpx.Client, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    response = client.post("/sentiment", content=b'{"text": "good"}', headers=headers)
    problem = assert_problem(response, 415, "unsupported-media-type")
    assert "content-type: application/json" in problem["detail"]


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "application/vnd.review+json", "Application/JSON"]
)
def test_every_spelling_of_json_is_taken(client: httpx.Client, media_type: str) -> None:
    response = client.post("/sentiment", content=b'{"text": "good"}', headers={"content-type": media_type})
    assert response.status_code == 200


def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(client: httpx.Client) -> None:
    response = client.post("/sentiment", json={"text": "good", "model": "sentimental"})
    problem = assert_problem(response, 404, "model-not-found")
    assert "'sentimental'" in problem["detail"] and "imdb-500" in problem["detail"]


def test_a_model_of_the_other_task_is_not_found(client: httpx.Client) -> None:
    response = client.post("/next-letter/batch", json={"sequences": ["A"], "model": "sentiment"})
    problem = assert_problem(response, 404, "model-not-found")
    assert "answers sentiment, not next-letter" in problem["detail"]
    assert all(name in problem["detail"] for name in ("alphabet-variable-length", "next-letter"))


def test_an_unknown_path_is_not_found(client: httpx.Client) -> None:
    problem = assert_problem(client.get("/sentimental"), 404, "not-found")
    assert "/docs" in problem["detail"]


def test_an_unknown_method_is_refused_with_those_there_are(client: httpx.Client) -> None:
    response = client.get("/sentiment")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "OPTIONS, POST"


def test_a_body_past_the_limit_is_refused(client: httpx.Client, settings: Settings) -> None:
    problem = assert_problem(client.post("/sentiment", json={"text": "w" * 20_000}), 413, "body-too-large")
    assert f"the limit is {settings.max_body_bytes}" in problem["detail"]
