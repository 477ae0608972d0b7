"""Clients of the Open Inference Protocol that others wrote, with their defaults, on a real service."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAMS = Path(__file__).parent / "clients"
KSERVE_PYTHON = os.environ.get("KSERVE_PYTHON")  # an interpreter: KServe's client has many dependencies

needs_triton = pytest.mark.skipif(not find_spec("tritonclient"), reason="tritonclient[http] is not installed")


@pytest.fixture(scope="module")
def served(services: Callable[..., httpx.Client]) -> httpx.Client:
    return services(engine="onnx")


def run(program: str, served: httpx.Client, scheme: str = "", python: str = sys.executable) -> dict[str, Any]:
    """Return what a program prints that asks the service."""
    address = f"{scheme}{served.base_url.host}:{served.base_url.port}"
    command = [python, str(PROGRAMS / program), address]
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


@pytest.mark.skipif(KSERVE_PYTHON is None, reason="KSERVE_PYTHON does not name a Python that has kserve")
def test_the_client_of_kserve_gets_the_same(served: httpx.Client, expected: dict[str, Any]) -> None:
    assert KSERVE_PYTHON
    printed = run("kserve_client.py", served, "http://", KSERVE_PYTHON)
    assert printed["live"] and printed["ready"] and printed["model"]
    assert printed["answers"] == [[expected["probabilities"], expected["label"]]] * 2
