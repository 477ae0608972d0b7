"""What is refused in a flood before it is begun, asked of a real service whose engine waits for a signal."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.routes import prediction
from app.routes.prediction import DEADLINE_HEADER
from tests.app.conftest import Blocked, Log, connect
from tests.conftest import SECONDS

PATH = "/sentiment"
BODY = b'{"text": "good"}'


@contextmanager
def begin_nothing() -> Iterator[None]:
    """Let the service fail on every prediction that is begun while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "_read_body", None)
        yield


def _make_request(body: bytes = BODY, version: str = "1.1", *headers: str) -> bytes:
    lines = [f"POST {PATH} HTTP/{version}", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def _read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def _ask(client: httpx.Client) -> dict[bytes, bytes]:
    """Return the lines of an answer by what is before their colons; head and body are sent together."""
    with connect(client) as connection:
        connection.sendall(_make_request(BODY, "1.1", "connection: close"))
        return {line.partition(b":")[0]: line for line in _read_all(connection).split(b"\r\n")}


def test_the_gate_refuses_as_the_route_does(blocked: Blocked, log: Log) -> None:
    with blocked.full():
        by_route = _ask(blocked.client)
        line_of_route = log.wait_for(path=PATH)
        with begin_nothing():
            by_gate = _ask(blocked.client)
        line_of_gate = log.wait_for(path=PATH)
    assert by_gate.pop(b"x-request-id") == b"x-request-id: " + line_of_gate["request_id"].encode()
    assert by_route.pop(b"x-request-id") == b"x-request-id: " + line_of_route["request_id"].encode()
    assert by_gate.pop(b"date") and by_route.pop(b"date")
    assert by_gate == by_route
    assert b"HTTP/1.1 503 Service Unavailable" in by_gate
    for line in (line_of_route, line_of_gate):
        for own in ("time", "request_id", "milliseconds"):
            del line[own]
    assert line_of_gate == line_of_route


def test_the_gate_opens_once_there_is_a_place(blocked: Blocked) -> None:
    with blocked.full(refused=2):
        pass
    for _ in range(2):
        assert blocked.client.post(PATH, json={"text": "good"}).status_code == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_connection_that_is_not_to_be_kept_is_closed(blocked: Blocked, version: str) -> None:
    further = ["connection: close"] if version == "1.1" else []
    with blocked.full(refused=1), begin_nothing(), connect(blocked.client) as connection:
        connection.sendall(_make_request(BODY, version, *further))
        answer = _read_all(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_requests_that_come_together_are_answered_in_their_order(blocked: Blocked) -> None:
    wrong = _make_request(b"{}", "1.1", f"{DEADLINE_HEADER}: soon")
    with blocked.full(refused=1), connect(blocked.client) as connection:
        connection.sendall(_make_request() + wrong + _make_request(BODY, "1.1", "connection: close"))
        answers = _read_all(connection).split(b"HTTP/1.1 ")[1:]
    # The error of the second closes the connection.
    assert [answer[:3] for answer in answers] == [b"503", b"422"]


def test_a_request_that_comes_in_parts_is_refused_once_it_is_whole(blocked: Blocked) -> None:
    head, body = _make_request(BODY, "1.1", "connection: close").split(b"\r\n\r\n")
    with blocked.full(refused=1), connect(blocked.client) as connection:
        connection.sendall(head + b"\r\n\r\n" + body[:4])
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(SECONDS)
        connection.sendall(body[4:])
        assert _read_all(connection).startswith(b"HTTP/1.1 503 ")


def test_what_else_is_asked_is_answered_as_always(blocked: Blocked) -> None:
    ask = blocked.client.post
    with blocked.full(refused=1):
        assert blocked.client.get("/livez").status_code == 200
        assert blocked.client.get(PATH).status_code == 405
        assert ask("/nowhere", content=BODY).status_code == 404
        assert ask(PATH, content=BODY, headers={DEADLINE_HEADER: "soon"}).status_code == 422
        assert ask(PATH, json={"text": "good", "model": "nobody"}).status_code == 404
        with connect(blocked.client) as connection:
            connection.sendall(_make_request(BODY, "1.1", "expect: 100-continue", "connection: close"))
            assert _read_all(connection).startswith(b"HTTP/1.1 100 Continue")
