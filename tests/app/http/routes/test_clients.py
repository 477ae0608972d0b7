"""Clients of the Open Inference Protocol that others wrote, with their defaults, on a real service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access.keys import add_client
from app.settings import Settings
from bundle.store import Store
from tests.bundle.samples import publish_changed
from tests.conftest import serve
from tests.tools import need

PROGRAMS = Path(__file__).parent / "clients"
KSERVE_PYTHON = os.environ.get("KSERVE_PYTHON")  # an interpreter: KServe's client has many dependencies

needs_triton = need(find_spec("tritonclient"), "tritonclient[http] is not installed")


@pytest.fixture(scope="module")
def served(services: Callable[..., httpx.Client]) -> httpx.Client:
    return services(engine="onnx")


def run(
    program: str,
    served: httpx.Client,
    scheme: str = "",
    python: str = sys.executable,
    *,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a program prints that asks the service; its arguments may have some before and after the address."""
    address = f"{scheme}{served.base_url.netloc.decode()}{served.base_url.path}".removesuffix("/")
    command = [python, str(PROGRAMS / program), *before, address, *after]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@pytest.fixture(scope="module")
def triton(served: httpx.Client) -> dict[str, Any]:
    return run("triton_sync.py", served)


@pytest.fixture(scope="module")
def expected(served: httpx.Client) -> dict[str, Any]:
    """The outputs for the texts of the programs, as the path of the task has them."""
    texts = ["A wonderful film.", "An awful, boring film!"]
    answers = served.post("/sentiment/batch", json={"texts": texts}).json()["answers"]
    return {
        "probabilities": pytest.approx([answer["probability_positive"] for answer in answers], abs=1e-7),
        "label": [answer["sentiment"] for answer in answers],
        "is_readable": [True, True],
    }


@needs_triton
def test_triton_finds_health_and_descriptions(triton: dict[str, Any], served: httpx.Client) -> None:
    assert triton["live"] == [True, True]
    assert triton["ready"] == [True, True, False] and triton["unknown"] is False
    assert triton["server"] == served.get("/v2").json()
    assert triton["metadata"] == served.get("/v2/models/sentiment").json()
    assert triton["config"] == served.get("/v2/models/sentiment/config").json()
    assert triton["index"] == served.post("/v2/repository/index").json()


@needs_triton
def test_triton_gets_every_output_with_every_compression(triton: dict[str, Any], expected: dict[str, Any]) -> None:
    assert triton["infer"] == [expected] * 9
    assert triton["several"] == [expected] * 8
    assert triton["long"]["label"] == ["positive"] * 40


@needs_triton
def test_triton_chooses_outputs_and_their_form(triton: dict[str, Any], expected: dict[str, Any]) -> None:
    assert triton["json"] == {name: expected[name] for name in ("label", "probabilities")}
    answer = triton["version"]
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("sentiment", "1", "42")


@needs_triton
def test_triton_sends_ids_of_several_types(triton: dict[str, Any], served: httpx.Client) -> None:
    ids = [[0, 1, 4, 5], [0, 0, 1, 6]]
    tensor = {"name": "ids", "shape": [2, 4], "datatype": "INT32", "data": ids}
    answer = served.post("/v2/models/sentiment/infer", json={"inputs": [tensor]}).json()
    outputs = {
        output["name"]: pytest.approx(output["data"]) for output in answer["outputs"] if output["name"] != "label"
    }
    for received in triton["ids"]:
        assert {name: received[name] for name in outputs} == outputs


@needs_triton
def test_triton_continues_letters(triton: dict[str, Any], served: httpx.Client) -> None:
    assert triton["letters"]["label"] == [served.post("/next-letter", json={"sequence": "ABC"}).json()["next_letter"]]
    assert len(triton["letters"]["probabilities"]) == 26


@needs_triton
def test_triton_shows_the_reasons_of_errors(triton: dict[str, Any]) -> None:
    (unknown, wrong, sequence, late) = triton["errors"]
    assert unknown[0] == "404" and unknown[1].startswith("there is no model 'sentimental'")
    assert wrong[0] == "422" and "the input 'txet' is not one of this model; send text or ids" in wrong[1]
    assert sequence[0] == "422" and "keeps no state" in sequence[1]
    assert late[0] == "504" and "the deadline passed" in late[1]


@needs_triton
def test_triton_reads_statistics(triton: dict[str, Any]) -> None:
    (counted,) = triton["statistics"]["model_stats"]
    assert counted["name"] == "sentiment" and counted["inference_count"] > 50
    assert "sentiment" in [one["name"] for one in triton["all_statistics"]["model_stats"]]


@needs_triton
def test_the_asynchronous_client_of_triton_gets_the_same(served: httpx.Client, expected: dict[str, Any]) -> None:
    printed = run("triton_aio.py", served)
    assert printed["live"] == [True, True] and printed["ready"]
    assert printed["metadata"] == served.get("/v2/models/sentiment").json()
    assert printed["config"] == served.get("/v2/models/sentiment/config").json()
    assert printed["index"] == served.post("/v2/repository/index").json()
    assert printed["statistics"]["model_stats"][0]["name"] == "sentiment"
    assert printed["labels"] == [expected["label"]] * 3
    assert printed["probabilities"] == [expected["probabilities"]] * 3
    assert printed["error"][0] == "404" and "sentimental" in printed["error"][1]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A key file, with the keys of a client that may manage models and of one that may only predict."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    return path, [add_client(path, "operator", ["predict", "manage"]), add_client(path, "web", ["predict"])]


@pytest.fixture(scope="module")
def managed(
    small_store: Store, tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, list[str]]
) -> Iterator[httpx.Client]:
    """A client of a service with keys, where two versions of a model are loaded."""
    store = Store(tmp_path_factory.mktemp("managed"))
    for name in ("sentiment", "next-letter"):
        shutil.copytree(small_store.root / name, store.root / name)
    publish_changed(store, store.open("sentiment"))
    path, (key, _) = keys
    with serve(Settings(models=store.root, keys=path, loaded_versions=2, watch_ms=10)) as client:
        client.headers["x-api-key"] = key
        yield client


@needs_triton
@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_triton_uses_and_controls_a_model_of_two_versions(
    managed: httpx.Client, keys: tuple[Path, list[str]], kind: str
) -> None:
    printed = run("triton_control.py", managed, before=[kind], after=keys[1])
    texts = ["A wonderful film.", "An awful,\0 boring film!"]
    answers = managed.post("/sentiment/batch", json={"texts": texts}).json()["answers"]
    assert printed["live"] and printed["answers"] == [[answer["sentiment"] for answer in answers]] * 6
    assert printed["answering"] == ["2", "1", "2"]
    assert printed["ready"] == [True, True, True, False] and printed["again"] == [True] * 3
    paths = ["/v2/models/sentiment", "/v2/models/sentiment/versions/1", "/v2/models/sentiment/versions/2"]
    assert printed["metadata"] == [managed.get(path).json() for path in paths]
    assert [each["versions"] for each in printed["metadata"]] == [["1", "2"]] * 3
    assert printed["config"] == [managed.get(f"{path}/config").json() for path in paths]
    counted = [statistics["model_stats"][0] for statistics in printed["statistics"]]
    assert [each["version"] for each in counted] == ["2", "1", "2"] and counted[0]["inference_count"] >= 14
    states = {"1": "READY", "2": "READY"}
    assert {each["version"]: each["state"] for each in printed["index"] if each["name"] == "sentiment"} == states
    assert printed["without"] == [
        False,
        ["404", "the model 'sentiment' is not loaded; an operator has unloaded it"],
    ]
    states = {"1": "UNAVAILABLE", "2": "UNAVAILABLE"}
    assert {
        each["version"]: each["state"] for each in printed["index_without"] if each["name"] == "sentiment"
    } == states
    assert [status for status, _ in printed["unknown"]] == ["404"] * 3
    assert all(message.startswith("there is no model 'sentimental'") for _, message in printed["unknown"])
    assert [status for status, _ in printed["refused"]] == ["403", "403", "401", "401"]


@pytest.mark.skipif(KSERVE_PYTHON is None, reason="KSERVE_PYTHON does not name a Python that has kserve")
def test_the_client_of_kserve_gets_the_same(served: httpx.Client, expected: dict[str, Any]) -> None:
    assert KSERVE_PYTHON
    printed = run("kserve_client.py", served, "http://", KSERVE_PYTHON)
    assert printed["live"] and printed["ready"] and printed["model"]
    assert printed["answers"] == [[expected["probabilities"], expected["label"]]] * 2
