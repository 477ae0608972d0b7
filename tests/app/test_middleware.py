import socket
from collections.abc import Iterator

import httpx

from app.middleware import DRAINED_LIMITS
from app.settings import Settings
from tests.app.conftest import Log


def chunks(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * size


def test_a_body_of_exactly_the_limit_is_read(client: httpx.Client, settings: Settings) -> None:
    body = b'{"text": "good"}'.ljust(settings.max_body_bytes)
    response = client.post("/sentiment", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200


def test_a_chunked_body_past_the_limit_is_refused(client: httpx.Client, settings: Settings) -> None:
    response = client.post("/sentiment", content=chunks(1000, settings.max_body_bytes // 1000 + 1))
    assert response.status_code == 413
    assert f"the body has {settings.max_body_bytes + 1000} bytes, the limit" in response.json()["detail"]


def test_a_body_without_end_is_given_up_on(client: httpx.Client, settings: Settings) -> None:
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    size = settings.max_body_bytes
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"POST /sentiment HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for chunk in chunks(size, DRAINED_LIMITS + 1):
            connection.sendall(b"%x\r\n%s\r\n" % (size, chunk))
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"or more" in answer


def test_a_client_that_leaves_half_way_does_no_harm(client: httpx.Client, log: Log) -> None:
    host, port = client.base_url.host, client.base_url.port
    assert port is not None
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"POST /sentiment HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
    assert log.wait_for(message="the client left before an answer")["status"] is None
    assert client.post("/sentiment", json={"text": "good"}).status_code == 200


def test_every_answer_carries_its_own_request_id(client: httpx.Client) -> None:
    answers = [client.get("/livez"), client.get("/nothing"), client.post("/sentiment", content=b"x" * 30_000)]
    assert [answer.status_code for answer in answers] == [200, 404, 413]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
