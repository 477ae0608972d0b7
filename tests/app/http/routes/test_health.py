import shutil
from pathlib import Path

import httpx
from starlette.types import Receive, Scope, Send

from app.errors import ENDING
from app.http.app import create_app
from app.settings import Settings
from bundle.store import Store
from tests.conftest import serve, serve_app


def test_ready_once_it_answers(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_never_ready_without_a_model(empty_models: Path) -> None:
    with serve(Settings(models=empty_models)) as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "there are no models" in response.json()["detail"]
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/models").json()["models"] == []
        assert client.post("/sentiment", json={"text": "good"}).status_code == 404


def test_never_ready_with_a_refused_default_model_while_the_others_answer(
    small_store: Store, empty_models: Path
) -> None:
    shutil.copytree(small_store.root / "next-letter", empty_models / "next-letter")
    shutil.copytree(small_store.root / "sentiment", empty_models / "sentiment")
    with (empty_models / "sentiment" / "1" / "vocabulary.txt").open("a") as vocabulary:
        vocabulary.write("forged\n")
    with serve(Settings(models=empty_models)) as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["type"].endswith("model-refused")
        assert "sentiment is refused" in response.json()["detail"]
        assert "refused: sentiment/1/vocabulary.txt has SHA-256" in response.json()["detail"]
        assert client.post("/next-letter", json={"sequence": "A"}).status_code == 200
        assert client.post("/sentiment", json={"text": "good"}).status_code == 503
        assert client.get("/models/sentiment").status_code == 503
        statuses = {model["name"]: model["status"] for model in client.get("/models").json()["models"]}
        assert statuses == {"next-letter": "ready", "sentiment": "refused"}


def test_ready_with_a_refused_model_that_is_not_the_default_of_a_task(small_store: Store, empty_models: Path) -> None:
    for name in ("next-letter", "imdb-500"):
        shutil.copytree(small_store.root / name, empty_models / name)
    (empty_models / "imdb-500" / "1" / "vocabulary.txt").unlink()
    with serve(Settings(models=empty_models)) as client:
        assert client.get("/readyz").status_code == 200
        statuses = {model["name"]: model["status"] for model in client.get("/models").json()["models"]}
        assert statuses == {"imdb-500": "refused", "next-letter": "ready"}
        assert str(empty_models) not in client.get("/models").text


def test_never_ready_while_the_service_ends(small_store: Store) -> None:
    app = create_app(Settings(models=small_store.root))

    async def ending(scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app as a server does that was told to end."""
        await app({**scope, "state": {**scope.get("state", {}), "is_ending": True}}, receive, send)

    with serve_app(ending) as client:
        response = client.get("/readyz")
        assert (response.status_code, response.json()["detail"]) == (503, ENDING)
        assert client.get("/livez").status_code == 200
