import json

import httpx
import pytest

from bundle.store import Store


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


def test_a_name_that_no_model_can_have_is_refused(client: httpx.Client) -> None:
    response = client.get(f"/models/{'m' * 64}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["path", "name"]
