from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.app.conftest import Log
from tests.conftest import serve


@pytest.fixture
def client_without_models(empty_models: Path) -> Iterator[httpx.Client]:
    with serve(Settings(models=empty_models)) as client:
        yield client


def test_every_answer_carries_its_own_request_id(client: httpx.Client) -> None:
    answers = [client.get("/livez"), client.get("/nothing"), client.post("/sentiment", content=b"x" * 30_000)]
    assert [answer.status_code for answer in answers] == [200, 404, 413]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


def test_who_watches_the_service_does_not_fill_its_log(client: httpx.Client, log: Log) -> None:
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    client.get("/nothing")
    assert log.wait_for(message="answered")["path"] == "/nothing"


def test_a_service_that_is_not_ready_is_logged(client_without_models: httpx.Client, log: Log) -> None:
    client_without_models.get("/readyz")
    assert log.wait_for(path="/readyz")["status"] == 503
