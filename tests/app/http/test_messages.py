"""Odd input to every path: an answer explains what is wrong in words of HTTP and JSON, never in Python's."""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access.keys import add_client
from app.runtime.policy import POLICY_FILE
from app.settings import Settings
from bundle.manifest import MANIFEST_FILE
from bundle.store import Store
from tests.bundle.samples import publish_changed
from tests.conftest import serve

PYTHON = re.compile(
    r"codec|Errno|Error|Exception|Traceback|\bNone\b|NoneType|\bTrue\b|\bFalse\b|Expecting|Extra data|Value error"
    r"|dictionary|instance of|constrained-|unicode string|recursion|int_max_str_digits|__|<class|object at 0x"
    r"|\bint\b|\bstr\b|\btuple\b|\bdict\b|PosixPath"
)
BODIES = [b"", b"{", b"\xff", b'{"a": "\xe4"}', b"[]", b"1", b"null", b'"x"', b"[" * 5000, b"9" * 5000, b"{} {}"]
BODIES += [b'{"a": %b}' % (b"9" * 5000), b"\xef\xbb\xbf{", "{}".encode("utf-16"), rb'{"\ud800": 1}', b'{"a": 1}']
VALUES: list[Any] = [None, True, 0, -1, 9, 1.5, 1e400, 10**30, "", "x", "\ud800", "x" * 100]
VALUES += [[], ["a"], [None], {}, {"a": 1}, [{}]]
NAMES = ("none", "x" * 70, "%00", "..", "a%2Fb", "%F0%9F%98%80", "%ff")
VERSIONS = ("0", "-1", "1.5", "9" * 20, "stable", "x" * 70, "%ff")
HEADERS: tuple[dict[str, str | bytes], ...] = (
    {"x-deadline-ms": "x"},
    {"x-deadline-ms": "-1"},
    {"content-encoding": "gzip"},
    {"content-encoding": "deflate"},
    {"content-encoding": "br"},
    {"content-type": "x"},
    {"inference-header-content-length": "x"},
    {"inference-header-content-length": "9"},
    {"inference-header-content-length": "0"},
    {"x-api-key": b"\xff"},
    {"x-api-key": ""},
)
# Fields that the examples of the document leave out.
FURTHER = {
    "/infer": {
        "parameters": {"timeout": 1, "priority": 1, "binary_data_output": True, "sequence_id": 1, "sequence_end": True},
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 1}}],
        "outputs": [{"name": "label", "parameters": {"binary_data": True, "classification": 1}}],
    },
    "sentiment": {"model": "sentiment", "version": 1, "min_confidence": 0.6},
    "next-letter": {"model": "next-letter", "version": 1, "top_k": 1},
}
SIZE = "inference-header-content-length"


@pytest.fixture
def served(small_store: Store, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client with all scopes of a service whose models are good, damaged in several ways, and of another task."""
    models = tmp_path / "models"
    for name in ("sentiment", "next-letter"):
        shutil.copytree(small_store.root / name, models / name)
    for number, contents in enumerate((b"{", b"\xff", b"[" * 100_000, b"{}", b"9" * 5000), 2):
        folder = shutil.copytree(models / "sentiment" / "1", models / "sentiment" / str(number))
        (folder / MANIFEST_FILE).write_bytes(contents)
    for number, damaged in enumerate((MANIFEST_FILE, "vocabulary.txt", "model.onnx"), 7):
        folder = shutil.copytree(models / "sentiment" / "1", models / "sentiment" / str(number))
        (folder / damaged).unlink()
        (folder / damaged).mkdir(exist_ok=number == 8)
    shutil.copytree(models / "sentiment" / "7", models / "imdb-500" / "1")
    (models / "next-letter" / POLICY_FILE).write_text('{"labels": {"stable": "x"}, "shadow_share": []}')
    key = add_client(tmp_path / "keys.json", "operator", ["predict", "manage"])
    settings = Settings(models=models, keys=tmp_path / "keys.json", max_body_bytes=40_000, loaded_versions=100)
    with serve(settings) as client:
        client.headers["x-api-key"] = key
        yield client


def list_places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all values in JSON."""
    yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from list_places(inner, (*place, key))


def change(value: Any, place: tuple[str | int, ...], new: Any) -> Any:
    """Return JSON with another value at a place."""
    if not place:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


def make_requests(document: Any, method: str, path: str, operation: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the paths and options of odd requests to an operation."""
    good = path.format(name="sentiment", version="1", label="stable")
    yield good, {}
    for name in NAMES if "{name}" in path else ():
        yield path.format(name=name, version="1", label="stable"), {"json": {}}
    for version in VERSIONS if "{version}" in path or "{label}" in path else ():
        yield path.format(name="sentiment", version=version, label=version), {"json": {}}
    for headers in HEADERS:
        yield good, {"content": b'{"a": 1}', "headers": {"content-type": "application/json"} | headers}
    for body in BODIES if method != "get" else ():
        yield good, {"content": body, "headers": {"content-type": "application/json"}}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        (example,) = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["examples"]
        example |= next((fields for part, fields in FURTHER.items() if part in path), {})
        for place in list_places(example):
            for value in VALUES:
                changed = json.dumps(change(example, place, value)).encode()
                yield good, {"content": changed, "headers": {"content-type": "application/json"}}
    if path.endswith("/infer"):
        texts = {"name": "text", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}
        head = json.dumps({"inputs": [texts]}).encode()
        for tensor in (b"", b"\1\0\0\0\xff\1\0\0\0a", b"\xff" * 10):
            yield good, {"content": head + tensor, "headers": {SIZE: str(len(head))}}


def test_no_answer_has_words_of_python(served: httpx.Client) -> None:
    document = served.get("/openapi.json").json()
    answers: set[tuple[int, str]] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation["operationId"] == "unload_model":
                continue  # the other paths need the model
            for asked, options in make_requests(document, method, path, operation):
                answer = served.request(method, asked, **options)
                if answer.status_code >= 400:
                    problem = answer.json()
                    assert answer.status_code < 500 or problem["type"].endswith(":model-refused"), problem
                    said = [problem["detail"], *(str(error["loc"]) for error in problem.get("errors", ()))]
                    answers |= {(answer.status_code, text) for text in said}
    assert len(answers) > 150
    assert [text for _, text in sorted(answers) if PYTHON.search(text)] == []


def test_no_reason_of_a_refusal_has_words_of_python_or_folders(served: httpx.Client) -> None:
    versions = served.get("/models/sentiment/versions").json()["versions"]
    reasons = [version["detail"] for version in versions if version["status"] == "refused"]
    assert len(reasons) == 8 and "sentiment/9/model.onnx cannot be read (it is not a regular file)" in reasons[0]
    reasons += [model["detail"] or "" for model in served.get("/models").json()["models"]]
    assert [reason for reason in reasons if PYTHON.search(reason) or "/tmp" in reason] == []


def test_a_model_of_another_task_with_the_name_of_a_task_is_named(small_store: Store, tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish_changed(store, small_store.open("next-letter"), name="sentiment")
    with serve(Settings(models=tmp_path)) as client:
        answer = client.post("/sentiment", json={"text": "good"})
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(
        "the model 'sentiment' answers next-letter, not sentiment; models that do"
    )
