"""The Open Inference Protocol besides inference, asked of a real service."""

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.settings import Settings
from bundle.store import Store
from tests.app.conftest import Log
from tests.bundle.samples import publish_without_onnx
from tests.conftest import SMALL_RECIPES, serve


@pytest.fixture(scope="module")
def served(services: Callable[..., httpx.Client]) -> httpx.Client:
    return services(engine="onnx")


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_service_names_its_version_and_extensions(served: httpx.Client, path: str) -> None:
    described = served.get(path).json()
    assert (described["name"], described["version"]) == ("lstm-serve", __version__)
    assert "binary_tensor_data" in described["extensions"]


def test_a_service_with_models_is_live_and_ready_and_not_logged(served: httpx.Client, log: Log) -> None:
    assert served.get("/v2/health/live").json() == {"live": True}
    assert served.get("/v2/health/ready").json() == {"ready": True}
    served.get("/nothing")
    assert log.wait_for(message="answered")["path"] == "/nothing"


def test_a_service_without_models_is_live_and_not_ready(empty_models: Path) -> None:
    with serve(Settings(models=empty_models)) as client:
        assert client.get("/v2/health/live").status_code == 200
        response = client.get("/v2/health/ready")
        assert response.status_code == 503 and "there are no models" in response.json()["error"]
        assert client.post("/v2/repository/index").json() == []
        assert client.get("/v2/models/stats").json() == {"model_stats": []}


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_a_model_describes_its_tensors(served: httpx.Client, version: str) -> None:
    described = served.get(f"/v2/models/sentiment{version}").json()
    assert described == {
        "name": "sentiment",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [-1]},
            {"name": "ids", "datatype": "INT32", "shape": [-1, -1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 1]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "is_readable", "datatype": "BOOL", "shape": [-1]},
        ],
    }
    letters = served.get(f"/v2/models/next-letter{version}").json()
    assert letters["inputs"] == [{"name": "sequence", "datatype": "BYTES", "shape": [-1]}]
    assert letters["outputs"][0]["shape"] == [-1, 26]


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_a_model_has_a_configuration_as_in_triton(served: httpx.Client, settings: Settings, version: str) -> None:
    config = served.get(f"/v2/models/sentiment{version}/config").json()
    assert config["max_batch_size"] == 0
    assert config["input"] == [
        {"name": "text", "data_type": "TYPE_STRING", "dims": [-1], "optional": False},
        {"name": "ids", "data_type": "TYPE_INT32", "dims": [-1, -1], "optional": True},
    ]
    assert [output["data_type"] for output in config["output"]] == ["TYPE_FP32", "TYPE_STRING", "TYPE_BOOL"]
    assert config["parameters"] == {
        "max_batch": {"string_value": str(settings.max_batch)},
        "length": {"string_value": "40"},
    }


@pytest.mark.parametrize("suffix", ["", "/ready", "/config", "/stats"])
def test_an_unknown_model_or_version_is_not_found(served: httpx.Client, suffix: str) -> None:
    for path in ("sentimental", "sentiment/versions/2", "sentiment/versions/01", "m" * 5000):
        response = served.get(f"/v2/models/{path}{suffix}")
        assert response.status_code == 404
        assert response.json()["error"].startswith("there is no ")
        assert len(response.content) < 1000


def test_statistics_count_the_inputs_and_batches_of_this_process(small_store: Store) -> None:
    with serve(Settings(models=small_store.root)) as client:
        client.post("/sentiment/batch", json={"texts": ["good", "bad"]})
        tensor = {"name": "text", "shape": [3], "datatype": "BYTES", "data": ["good"] * 3}
        client.post("/v2/models/sentiment/infer", json={"inputs": [tensor]})
        (counted,) = client.get("/v2/models/sentiment/versions/1/stats").json()["model_stats"]
        assert counted in client.get("/v2/models/stats").json()["model_stats"]
        assert len(client.get("/v2/models/stats").json()["model_stats"]) == len(SMALL_RECIPES)
    assert (counted["name"], counted["version"], counted["inference_count"]) == ("sentiment", "1", 5)
    assert counted["execution_count"] == counted["inference_stats"]["compute_infer"]["count"] >= 2
    assert counted["inference_stats"]["success"]["count"] == 2
    assert counted["inference_stats"]["success"]["ns"] > counted["inference_stats"]["compute_infer"]["ns"] > 0
    assert counted["inference_stats"]["queue"]["count"] == 5
    assert 0 < counted["inference_stats"]["queue"]["ns"] < 5 * counted["inference_stats"]["success"]["ns"]
    assert counted["inference_stats"]["fail"] == {"count": 0, "ns": 0}
    assert counted["last_inference"] > 1_700_000_000_000


def test_the_index_has_models_that_answer_and_models_that_do_not(small_store: Store, empty_models: Path) -> None:
    for name in ("next-letter", "sentiment"):
        shutil.copytree(small_store.root / name, empty_models / name)
    (empty_models / "sentiment" / "1" / "model.onnx").write_bytes(b"broken")
    with serve(Settings(models=empty_models)) as client:
        ready = {"name": "next-letter", "version": "1", "state": "READY", "reason": ""}
        assert client.post("/v2/repository/index", json={"ready": True}).json() == [ready]
        first, refused = client.post("/v2/repository/index", content=b"").json()
        assert client.post("/v2/repository/index", json={}).json() == [first, refused]
        assert first == ready
        assert (refused["name"], refused["version"], refused["state"]) == ("sentiment", "1", "UNAVAILABLE")
        assert "model.onnx" in refused["reason"]
        response = client.get("/v2/models/sentiment/ready")
        assert response.status_code == 503 and "sentiment is refused" in response.json()["error"]
        assert client.get("/v2/models/next-letter/ready").json() == {"name": "next-letter", "ready": True}


def test_a_network_without_onnx_has_another_platform(small_store: Store, empty_models: Path) -> None:
    shutil.copytree(small_store.root / "next-letter", empty_models / "next-letter")
    store = Store(empty_models)
    publish_without_onnx(store, store.open("next-letter"))
    with serve(Settings(models=empty_models)) as client:
        assert client.get("/v2/models/next-letter").json()["platform"] == "tensorflow_keras"
