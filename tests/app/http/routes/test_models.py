import json
import shutil
import time
from pathlib import Path

import httpx
import pytest

from app.http.app import create_app
from app.runtime.changes import Changes
from app.runtime.policy import POLICY_FILE
from app.settings import Settings
from bundle.files import hash_file
from bundle.store import Store
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS, serve_app


def test_every_bundle_is_listed_with_its_task_and_version(client: httpx.Client) -> None:
    models = client.get("/models").json()["models"]
    assert [(m["name"], m["task"], m["version"], m["status"], m["default"]) for m in models] == [
        ("alphabet-stateful", "next-letter", 1, "ready", False),
        ("alphabet-variable-length", "next-letter", 1, "ready", False),
        ("alphabet-window", "next-letter", 1, "ready", False),
        ("imdb-500", "sentiment", 1, "ready", False),
        ("next-letter", "next-letter", 1, "ready", True),
        ("sentiment", "sentiment", 1, "ready", True),
        ("stacked", "next-letter", 1, "ready", False),
    ]


def test_the_limits_of_a_request_are_listed(client: httpx.Client, settings: Settings) -> None:
    limits = client.get("/models").json()["limits"]
    assert limits == {
        "max_batch": settings.max_batch,
        "max_text_characters": settings.max_text_characters,
        "max_body_bytes": settings.max_body_bytes,
        "deadline_ms": settings.deadline_ms,
    }


@pytest.mark.parametrize("name", ["next-letter", "sentiment"])
def test_a_model_is_described_by_its_manifest(client: httpx.Client, small_store: Store, name: str) -> None:
    details = client.get(f"/models/{name}").json()
    manifest = json.loads((small_store.open(name).folder / "manifest.json").read_text())
    assert details == {key: manifest[key] for key in details}
    assert {"metrics", "recipe", "preprocessing", "dataset", "labels", "created"} <= details.keys()


def test_an_unknown_model_is_not_found(client: httpx.Client) -> None:
    response = client.get("/models/sentimental")
    assert response.status_code == 404
    assert (
        "there are: alphabet-stateful, alphabet-variable-length, alphabet-window, imdb-500" in response.json()["detail"]
    )


def test_a_version_is_described_by_its_number_or_a_label(small_store: Store, tmp_path: Path) -> None:
    shutil.copytree(small_store.root / "next-letter", tmp_path / "next-letter")
    Changes(Store(tmp_path), Settings()).set_label("next-letter", "stable", 1)
    with serve_app(create_app(Settings(models=tmp_path))) as client:
        for version in ("1", "stable"):
            assert client.get(f"/models/next-letter/versions/{version}").json()["version"] == 1
            assert client.get(f"/v2/models/next-letter/versions/{version}").json()["versions"] == ["1"]
            body = {"sequence": "AB", "version": version}
            assert client.post("/next-letter", json=body).json()["version"] == 1
        for version in ("2", "candidate", "0", "01"):
            paths = [f"/{part}next-letter/versions/{version}" for part in ("models/", "v2/models/")]
            answers = [client.get(path) for path in paths]
            answers.append(client.post("/next-letter", json={"sequence": "AB", "version": version}))
            assert {answer.status_code for answer in answers} == {404}
            assert len({answer.json()["detail"] for answer in answers}) == 1


def test_a_name_that_no_model_can_have_is_refused(client: httpx.Client) -> None:
    response = client.get(f"/models/{'m' * 64}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["path", "name"]


def test_the_versions_of_a_model_are_listed_and_described(client: httpx.Client) -> None:
    found = client.get("/models/sentiment/versions").json()
    state = {"version": 1, "status": "ready", "detail": None, "labels": [], "default": True}
    state |= {"loaded_processes": 1, "default_processes": 1}
    assert found == {"name": "sentiment", "versions": [state], "shadow_share": 0, "processes": found["processes"]}
    assert client.get("/models/sentiment/versions/1").json() == client.get("/models/sentiment").json()


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/models/sentimental/versions", 404, "there is no model 'sentimental'"),
        ("/models/sentiment/versions/2", 404, "there is no version 2 of sentiment; there are: 1"),
        ("/models/sentiment/versions/stable", 404, "there is no label 'stable' of sentiment; labels: none"),
        (f"/models/sentiment/versions/{'v' * 64}", 422, "path.version: String should have at most 63 characters"),
        (f"/models/{'m' * 64}/versions", 422, "path.name: String should have at most 63 characters"),
    ],
)
def test_versions_that_there_are_not(client: httpx.Client, path: str, status: int, detail: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_a_model_that_cannot_be_served_says_why(small_store: Store, tmp_path: Path) -> None:
    shutil.copytree(small_store.root / "next-letter", tmp_path / "next-letter")
    shutil.copytree(small_store.root / "sentiment", tmp_path / "sentiment")
    store = Store(tmp_path)
    publish_changed(store, store.open("next-letter"), {"model.onnx": b"not a network"})
    publish_changed(store, store.open("next-letter"))
    damaged = tmp_path / "next-letter" / "3" / "model.onnx"
    published = hash_file(damaged)
    damaged.write_bytes(b"changed")
    (tmp_path / "next-letter" / "v4").mkdir()
    Changes(store, Settings()).set_loaded("sentiment", is_loaded=False)
    with serve_app(create_app(Settings(models=tmp_path))) as client:
        statuses = [
            (each["status"], each["default"]) for each in client.get("/models/next-letter/versions").json()["versions"]
        ]
        assert statuses == [("refused", False), ("refused", False), ("ready", True)]
        models = {model["name"]: model for model in client.get("/models").json()["models"]}
        assert (models["next-letter"]["status"], models["next-letter"]["version"]) == ("ready", 1)
        assert models["sentiment"]["status"] == "unloaded" and models["sentiment"]["problems"] == []
        assert models["next-letter"]["problems"] == [
            f"version 3 is refused: next-letter/3/model.onnx has SHA-256 {hash_file(damaged)}, its manifest says "
            f"{published}; restore the file or train the bundle again",
            "version 2 is refused: its network cannot be loaded; the service's log has the reason",
            "ignored beside the versions: folder v4; the name of a version is a number from 1 on, without leading "
            "zeros, such as 2: rename or remove what is ignored",
        ]


def test_a_model_whose_policy_cannot_be_read_says_so_while_it_answers(small_store: Store, tmp_path: Path) -> None:
    shutil.copytree(small_store.root / "sentiment", tmp_path / "sentiment")
    with serve_app(create_app(Settings(models=tmp_path, watch_ms=10))) as client:
        (tmp_path / "sentiment" / POLICY_FILE).write_text("[]")
        end = time.monotonic() + SECONDS
        while not (model := client.get("/models").json()["models"][0])["problems"]:
            assert time.monotonic() < end
    assert (model["status"], model["version"]) == ("ready", 1)
    assert model["problems"] == [
        "sentiment/policy.json is not a policy: Input should be an object; correct it or delete it"
    ]
