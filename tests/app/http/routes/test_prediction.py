"""Deadlines, a full queue and clients that leave, asked of a real service whose engine waits for a signal."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, Header, HTTPException, Request, Response
from fastapi.dependencies.utils import get_parameterless_sub_dependant
from fastapi.routing import APIRoute

from app.http.app import create_app
from app.http.limits import DEADLINE_HEADER
from app.http.routes.prediction import unless_client_leaves
from app.settings import Settings
from tests.app.conftest import Blocked, Log, connect
from tests.conftest import SECONDS, serve_app

JSON = {"content-type": "application/json"}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}
POST = b"POST /sentiment HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def test_a_full_queue_is_told_with_when_to_come_again(blocked: Blocked) -> None:
    with blocked.full():
        response = blocked.ask()
        assert response.status_code == 503
        assert response.json()["type"].endswith(":overloaded")
        assert "4 texts are waiting" in response.json()["detail"]
        assert int(response.headers["retry-after"]) >= 1


def test_of_more_than_can_wait_each_is_answered_once(blocked: Blocked) -> None:
    with ThreadPoolExecutor(30) as threads:
        asked = [threads.submit(blocked.ask) for _ in range(30)]
        accepted = blocked.engine.started.get(timeout=SECONDS) + 4
        refused = [answered.result() for answered in islice(as_completed(asked, SECONDS), 30 - accepted)]
        assert {response.status_code for response in refused} == {503}
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
        assert blocked.client.get("/livez").status_code == 200
        blocked.engine.let_through.set()
        statuses = [answered.result(SECONDS).status_code for answered in asked]
    assert sorted(statuses) == [200] * accepted + [503] * len(refused)


@pytest.mark.parametrize("models", [["sentiment", "imdb-500"]])
@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "good", "model": "imdb-500"}',
        rb'{"text": "good", "mod\u0065l": "imdb-500"}',
        rb'{"text": "\"model\": \"sentiment\"", "model": "sentiment", "model": "imdb-500"}',
    ],
)
def test_a_full_queue_of_one_model_is_none_of_another(blocked: Blocked, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    with ThreadPoolExecutor() as threads:
        with blocked.full():
            other = threads.submit(blocked.client.post, "/sentiment", content=content, headers=headers)
            with pytest.raises(TimeoutError):  # it waits for the one thread that runs engines
                other.result(0.2)
        assert other.result().json()["model"] == "imdb-500"


@pytest.mark.parametrize("body", [{"text": 5}, {"txet": "good"}, {"text": "w" * 200_000}, [], {"model": "m" * 64}])
def test_overload_is_rejected_before_the_fields_are_checked(blocked: Blocked, log: Log, body: object) -> None:
    path = "/sentiment"
    if body == [] or body == {"model": "m" * 64}:  # of which the default model would be asked
        path = "/sentiment/batch"
    assert blocked.client.post(path, json=body).status_code == 422
    with blocked.full():
        assert blocked.client.post(path, json=body).status_code == 503
        assert log.wait_for(path=path, status=503)["model"] == "sentiment"


def test_a_batch_needs_a_place_for_each_of_its_texts(blocked: Blocked) -> None:
    with ThreadPoolExecutor() as threads:
        running = threads.submit(blocked.ask)
        blocked.engine.started.get(timeout=SECONDS)
        waiting = threads.submit(blocked.ask, 2)
        blocked.wait_for_queue(2)
        response = blocked.ask(3)
        assert response.status_code == 503
        assert "2 texts are waiting, and at most 4 may; 3 more have no place" in response.json()["detail"]
        blocked.engine.let_through.set()
        assert [answered.result().status_code for answered in (running, waiting)] == [200, 200]


@pytest.mark.parametrize("body", [{"texts": [1, 2]}, {"texts": ["a"] * 5}, {"texts": []}, {"texts": "good"}])
def test_a_request_that_is_refused_gives_its_places_back(blocked: Blocked, body: object) -> None:
    for _ in range(5):
        assert blocked.client.post("/sentiment/batch", json=body).status_code in (422, 503)
    assert blocked.batcher.waiting == 0


def test_a_deadline_that_passes_is_told(blocked: Blocked) -> None:
    response = blocked.ask(headers={DEADLINE_HEADER: "500"})
    assert response.status_code == 504
    assert response.json()["type"].endswith(":deadline")


def test_a_client_that_leaves_gives_its_places_back(blocked: Blocked, log: Log) -> None:
    body = b'{"texts": ["good", "good", "good", "good"]}'
    head = b"POST /sentiment/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with ThreadPoolExecutor() as threads:
        running = threads.submit(blocked.ask)
        blocked.engine.started.get(timeout=SECONDS)
        port = blocked.client.base_url.port
        assert port is not None
        with socket.create_connection((blocked.client.base_url.host, port)) as connection:
            connection.sendall(head % len(body) + body)
            blocked.wait_for_queue(4)
        blocked.wait_for_queue(0)
        assert log.wait_for(message="the client left before an answer")["path"] == "/sentiment/batch"
        staying = threads.submit(blocked.ask, 3)
        blocked.wait_for_queue(3)
        blocked.engine.let_through.set()
        assert [answered.result().status_code for answered in (running, staying)] == [200, 200]
    assert blocked.engine.started.get(timeout=SECONDS) == 3  # and not the four of who left
    assert blocked.engine.started.empty()


def test_a_batch_that_fails_is_an_internal_error_with_its_reason_in_the_log(blocked: Blocked, log: Log) -> None:
    blocked.engine.is_failing = True
    response = blocked.ask()
    assert response.status_code == 500
    assert response.json()["type"].endswith(":internal-error")
    assert "RuntimeError: no answer" in log.wait_for(message="unexpected error")["traceback"]
    blocked.engine.is_failing = False
    blocked.engine.let_through.set()
    assert blocked.ask().status_code == 200


@pytest.mark.parametrize("media_type", ["notjson", "text/json", "application/jsonp", "application/x+json+zip"])
def test_only_media_types_of_json_are_accepted(client: httpx.Client, media_type: str) -> None:
    response = client.post("/sentiment", content=b'{"text": "good"}', headers={"content-type": media_type})
    assert response.status_code == 415
    assert f"the content-type is '{media_type}'" in response.json()["detail"]


def test_dependencies_of_a_route_are_enforced_for_every_method(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    async def check_key(key: Annotated[str, Header(alias="x-key")]) -> AsyncIterator[None]:
        if key == "guess":
            raise HTTPException(401, "there is no such key", {"www-authenticate": "key"})
        yield
        used.append(key)

    app = create_app(settings)
    for route in app.routes:
        if isinstance(route, APIRoute):
            parts = get_parameterless_sub_dependant(depends=Depends(check_key), path=route.path)
            monkeypatch.setattr(route.dependant, "dependencies", [parts, *route.dependant.dependencies])
    with serve_app(app) as client:
        for key, status in ((None, 422), ("guess", 401), ("secret", 200)):
            headers = {"x-key": key} if key else {}
            statuses = {
                client.post("/sentiment", json={"text": "good"}, headers=headers).status_code,
                client.post("/next-letter/batch", json={"sequences": ["A"]}, headers=headers).status_code,
                client.post("/v2/models/sentiment/infer", json={"inputs": [TENSOR]}, headers=headers).status_code,
                client.get("/models", headers=headers).status_code,
            }
            assert statuses == {status}
        refusal = client.post("/sentiment", json={"text": "good"}, headers={"x-key": "guess"})
        assert refusal.json()["type"] == "tag:lstm-serve,2026:unauthorized"
        assert refusal.json()["detail"] == "there is no such key"
        assert refusal.headers["www-authenticate"] == "key"
    assert used == ["secret"] * 4


def test_a_dependency_may_read_the_body_set_headers_and_add_tasks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bytes] = []

    async def sign(request: Request, response: Response, tasks: BackgroundTasks) -> None:
        body = await request.body()
        response.headers["x-signature"] = str(len(body))
        tasks.add_task(ended.append, body)

    app = create_app(settings)
    (route,) = (route for route in app.routes if isinstance(route, APIRoute) and route.path == "/sentiment")
    parts = get_parameterless_sub_dependant(depends=Depends(sign), path=route.path)
    monkeypatch.setattr(route.dependant, "dependencies", [parts])
    with serve_app(app) as client:
        response = client.post("/sentiment", content=b'{"text": "good"}', headers={"content-type": "application/json"})
    assert response.status_code == 200 and response.json()["words_used"] == 1
    assert response.headers["x-signature"] == "16"
    assert ended == [b'{"text": "good"}']


def test_a_handler_that_the_server_cancels_is_cancelled() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    async def test() -> None:
        handler = asyncio.ensure_future(unless_client_leaves(never, never()))
        await asyncio.sleep(0)
        handler.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handler

    asyncio.run(test())


def chunks(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * size


def test_a_body_of_exactly_the_limit_is_read(client: httpx.Client, settings: Settings) -> None:
    body = b'{"text": "good"}'.ljust(settings.max_body_bytes)
    response = client.post("/sentiment", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200


def test_a_body_past_the_limit_is_rejected_whether_announced_or_not(client: httpx.Client, settings: Settings) -> None:
    announced = client.post("/sentiment", content=bytes(settings.max_body_bytes + 1), headers=JSON)
    chunked = client.post("/sentiment", content=chunks(1000, settings.max_body_bytes // 1000 + 1), headers=JSON)
    assert announced.status_code == chunked.status_code == 413
    assert f"the body has {settings.max_body_bytes + 1} bytes, the limit" in announced.json()["detail"]
    assert " bytes or more, the limit is" in chunked.json()["detail"]


def place(head: bytes, client: httpx.Client) -> bytes:
    """Return the head of a request for the place where the service is, which may be below a prefix."""
    return head.replace(b" /", b" " + client.base_url.raw_path, 1)


def test_a_body_without_end_is_answered_and_then_cut(client: httpx.Client, settings: Settings) -> None:
    with connect(client) as connection:
        connection.sendall(place(POST, client) + b"transfer-encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (settings.max_body_bytes, bytes(settings.max_body_bytes))
        connection.sendall(chunk * 2)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
        with pytest.raises(OSError):
            while True:
                connection.sendall(chunk)


@pytest.mark.parametrize("seconds", ["0.001", "0.05"])
def test_a_body_that_stops_half_way_is_not_waited_for(client: httpx.Client, seconds: str) -> None:
    with connect(client) as connection:
        head = place(POST, client) + b"content-length: 100\r\nx-deadline-ms: %d\r\n\r\nhalf"
        connection.sendall(head % int(1000 * float(seconds)))
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert f"the whole body did not arrive within {seconds} s".encode() in answer


def test_a_client_that_leaves_half_way_does_no_harm(client: httpx.Client, log: Log) -> None:
    with connect(client) as connection:
        connection.sendall(POST + b"content-length: 100\r\n\r\nhalf")
    assert log.wait_for(message="the client left before an answer")["status"] is None
    assert client.post("/sentiment", json={"text": "good"}).status_code == 200
