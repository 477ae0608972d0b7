import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access.keys import add_client
from app.http.app import create_app
from app.runtime.policy import change_policy
from app.runtime.repository import POLICY_SECONDS
from app.settings import Settings
from bundle.store import Store
from tests.bundle.samples import copy_with_two_versions, publish_changed
from tests.conftest import SECONDS, serve_app


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of its own with two versions of one model."""
    return copy_with_two_versions(small_store, tmp_path / "models")


@pytest.fixture
def manager(store: Store) -> Iterator[httpx.Client]:
    """A client of a service of this store, which may manage it."""
    with serve_managed(store) as client:
        yield client


@contextmanager
def serve_managed(store: Store, **settings: Any) -> Iterator[httpx.Client]:
    keys = store.root.parent / "keys.json"
    key = add_client(keys, "operator", ("predict", "manage"))
    with serve_app(create_app(Settings(models=store.root, keys=keys, **{"watch_ms": 10, **settings}))) as client:
        client.headers["x-api-key"] = key
        yield client


def ask(client: httpx.Client, **fields: object) -> int:
    version: int = client.post("/next-letter", json={"sequence": "AB", **fields}).json()["version"]
    return version


def test_a_roll_back_is_one_call(manager: httpx.Client) -> None:
    assert ask(manager) == 2
    answer = manager.put("/models/next-letter/labels/stable", json={"version": 1})
    assert [(each["version"], each["labels"], each["default"]) for each in answer.json()["versions"]] == [
        (2, [], False),
        (1, ["stable"], True),
    ]
    assert (ask(manager), ask(manager, version=2), ask(manager, version="stable")) == (1, 2, 1)
    assert manager.delete("/models/next-letter/labels/stable").json()["versions"][0]["default"]
    assert ask(manager) == 2


def test_a_model_is_unloaded_and_loaded(manager: httpx.Client) -> None:
    assert manager.post("/v2/repository/models/next-letter/unload", json={}).json() == {"name": "next-letter"}
    answer = manager.post("/next-letter", json={"sequence": "AB"})
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "the model 'next-letter' is not loaded; an operator has unloaded it",
    )
    assert manager.post("/v2/repository/models/next-letter/load").json() == {"name": "next-letter"}
    assert ask(manager) == 2


def test_a_model_without_a_good_version_cannot_be_loaded(manager: httpx.Client, store: Store) -> None:
    manager.post("/v2/repository/models/next-letter/unload")
    answer = manager.put("/models/next-letter/labels/stable", json={"version": 1})
    assert (answer.status_code, "load it first" in answer.json()["detail"]) == (409, True)
    for number in store.versions("next-letter"):
        (store.root / "next-letter" / str(number) / "model.onnx").write_bytes(b"changed")
    answer = manager.post("/v2/repository/models/next-letter/load")
    assert answer.status_code == 409
    assert "next-letter is refused: next-letter/2/model.onnx has SHA-256" in answer.json()["detail"]


def test_the_share_of_shadow_requests_is_set(manager: httpx.Client) -> None:
    assert manager.put("/models/next-letter/shadow", json={"share": 0.5}).json()["shadow_share"] == 0.5
    assert manager.get("/models/next-letter/versions").json()["shadow_share"] == 0.5


def test_a_version_that_cannot_be_used_gets_no_label(manager: httpx.Client, store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    (store.root / "next-letter" / "3" / "model.onnx").write_bytes(b"changed")
    answer = manager.put("/models/next-letter/labels/candidate", json={"version": 3})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("next-letter/3/model.onnx has SHA-256")
    assert ask(manager) == 2


@pytest.mark.parametrize("before", [None, 1])
def test_a_version_that_does_not_load_leaves_the_label_where_it_was(
    manager: httpx.Client, store: Store, before: int | None
) -> None:
    if before:
        manager.put("/models/next-letter/labels/stable", json={"version": before})
    publish_changed(store, store.open("next-letter"), {"model.onnx": b"not a network"})
    answer = manager.put("/models/next-letter/labels/stable", json={"version": 3})
    assert answer.status_code == 409
    assert "the network in next-letter/3 cannot be loaded: " in answer.json()["detail"]
    assert ask(manager) == (before or 2)
    versions = manager.get("/models/next-letter/versions").json()["versions"]
    assert {each["version"]: each["labels"] for each in versions if each["labels"]} == (
        {1: ["stable"]} if before else {}
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("PUT", "/models/lettres/labels/stable", {"version": 1}, 404, "there is no model 'lettres'"),
        (
            "PUT",
            "/models/next-letter/labels/stable",
            {"version": 9},
            404,
            "no bundle next-letter version 9; its versions",
        ),
        ("PUT", "/models/next-letter/labels/Stable", {"version": 1}, 422, "path.label: String should match pattern"),
        ("PUT", "/models/next-letter/labels/stable", {"version": 0}, 422, "body.version: Input should be greater"),
        ("PUT", "/models/next-letter/shadow", {"share": 2}, 422, "body.share: Input should be less"),
        ("POST", "/v2/repository/models/lettres/load", {}, 404, "there is no model 'lettres'"),
        ("DELETE", "/models/next-letter/labels/stable", None, 404, "no version of next-letter has the label 'stable'"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    manager: httpx.Client, method: str, path: str, body: object, status: int, detail: str
) -> None:
    answer = manager.request(method, path, json=body)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_a_body_that_is_not_utf_8_is_refused(manager: httpx.Client) -> None:
    answer = manager.put(
        "/models/next-letter/shadow", content=b'{"share": "\xff"}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body: the body cannot be read: byte ")


def test_a_change_is_followed_at_once_however_rarely_the_folder_is_looked_at(store: Store) -> None:
    with serve_managed(store, watch_ms=3_600_000) as client:
        assert client.put("/models/next-letter/labels/stable", json={"version": 1}).status_code == 200
        assert ask(client) == 1
        publish_changed(store, store.open("next-letter"))
        change_policy(store.root / "next-letter", lambda policy: policy.model_copy(update={"labels": {"stable": 3}}))
        end = time.monotonic() + SECONDS
        while ask(client) != 3:
            assert time.monotonic() < end


def test_between_its_times_the_folder_is_not_looked_at(store: Store) -> None:
    with serve_managed(store, watch_ms=3_600_000) as client:
        assert client.put("/models/next-letter/labels/old", json={"version": 1}).status_code == 200
        time.sleep(3 * POLICY_SECONDS)  # the second look after the change is over
        published = publish_changed(store, store.open("next-letter"))
        time.sleep(3 * POLICY_SECONDS)
        described = client.get("/models/next-letter/versions").json()["versions"]
        assert published.manifest.version not in [version["version"] for version in described]


def test_the_answer_to_a_change_has_the_numbers_of_processes(manager: httpx.Client) -> None:
    workers = Settings().workers
    for answer in (
        manager.put("/models/next-letter/labels/stable", json={"version": 1}),
        manager.put("/models/next-letter/shadow", json={"share": 0.1}),
        manager.delete("/models/next-letter/labels/stable"),
    ):
        described = answer.json()
        assert described["processes"] == workers
        assert [version["loaded_processes"] for version in described["versions"]][0] == 1
        assert {version["default_processes"] for version in described["versions"]} <= {0, 1}


def test_a_change_that_is_not_followed_in_time_says_so(store: Store) -> None:
    with serve_managed(store, watch_ms=3_600_000, deadline_ms=100) as client:
        answer = client.put("/models/next-letter/labels/stable", json={"version": 1})
        assert answer.status_code == 504
        assert "the change is written, but this process has not followed it yet" in answer.json()["detail"]


def test_a_name_that_is_no_text_beside_the_models_changes_no_answer(manager: httpx.Client, store: Store) -> None:
    (store.root / "\udcff" / "1").mkdir(parents=True)
    answer = manager.put("/models/none/shadow", json={"share": 0.1})
    assert answer.status_code == 404
    assert "next-letter, \\udcff" in answer.json()["detail"]


def test_a_version_that_was_just_mended_gets_its_label(manager: httpx.Client, store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    file = store.root / "next-letter" / "3" / "model.onnx"
    good = file.read_bytes()
    file.write_bytes(b"changed")
    end = time.monotonic() + SECONDS
    while manager.get("/models/next-letter/versions").json()["versions"][0]["status"] != "refused":
        assert time.monotonic() < end
    file.write_bytes(good)
    assert manager.put("/models/next-letter/labels/stable", json={"version": 3}).status_code == 200
    assert ask(manager) == 3


def test_a_model_is_loaded_from_the_folder_and_not_from_a_request(manager: httpx.Client) -> None:
    path = "/v2/repository/models/next-letter/load"
    answer = manager.post(path, json={"parameters": {"config": "{}"}})
    assert answer.status_code == 422
    assert "body.parameters: a model is loaded as it is in the folder of the service" in answer.json()["detail"]
    assert manager.post(path, json={"parameters": {}}).status_code == 200
