"""Answers that are sent together and ports that are shared, with real sockets."""

import asyncio
import pickle
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from app.errors import SettingsError
from app.server import MOST_ACCEPTED, JoiningTransport, OwnSocket, Protocol, accept_waiting, bind
from tests.app.conftest import connect
from tests.conftest import SECONDS


class Recorder:
    """A transport that keeps what is written, and is closed once."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture(autouse=True)
def _no_socket_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnSocket, "newest", None)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def transport(recorder: Recorder, loop: asyncio.AbstractEventLoop) -> JoiningTransport:
    return JoiningTransport(cast(asyncio.Transport, recorder), loop)


def _pass(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))


def test_a_head_and_its_body_are_sent_together(
    recorder: Recorder, transport: JoiningTransport, loop: asyncio.AbstractEventLoop
) -> None:
    transport.write(b"head")
    assert recorder.written == []
    transport.write(b"body")
    assert recorder.written == [b"headbody"]
    _pass(loop)
    assert recorder.written == [b"headbody"]


def test_what_nothing_follows_is_sent_in_the_next_pass(
    recorder: Recorder, transport: JoiningTransport, loop: asyncio.AbstractEventLoop
) -> None:
    transport.write(b"100 continue")
    _pass(loop)
    assert recorder.written == [b"100 continue"]


def test_what_is_held_is_sent_before_the_end(recorder: Recorder, transport: JoiningTransport) -> None:
    assert not transport.is_closing()
    transport.write(b"head")
    transport.close()
    assert recorder.written == [b"head"]
    assert transport.is_closing()


def test_a_client_that_asks_whether_to_send_its_body_is_told(client: httpx.Client) -> None:
    body = b'{"text": "good"}'
    head = (
        b"POST /sentiment HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n"
    )
    with connect(client) as connection:
        connection.sendall(head % len(body))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"}")


@pytest.fixture
def own() -> Iterator[socket.socket]:
    with bind("127.0.0.1", 0) as bound:
        yield bound


def test_who_is_sent_a_socket_listens_for_itself_and_has_its_share_of_the_connections(own: socket.socket) -> None:
    first, second = (pickle.loads(pickle.dumps(own)) for _ in range(2))
    with first, second:
        assert first.getsockname() == second.getsockname() == own.getsockname()
        for listener in (first, second):
            assert isinstance(listener, OwnSocket)
            listener.listen(64)
            listener.setblocking(False)
        clients = [socket.create_connection(own.getsockname(), timeout=SECONDS) for _ in range(64)]
        shares = [len(list(_accept_all(listener))) for listener in (first, second)]
        assert sum(shares) == 64
        assert min(shares) >= 8  # less than that is as likely as 31 heads or more of 32 coins
        for client in clients:
            client.close()


def test_connections_that_wait_are_taken_with_the_first(own: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    own.listen(2 * MOST_ACCEPTED)
    clients = [socket.create_connection(own.getsockname(), timeout=SECONDS) for _ in range(MOST_ACCEPTED + 2)]
    state = ServerState()
    config = uvicorn.Config(FastAPI(), log_config=None)
    protocol = Protocol(config, state, {}, loop)
    connection, _ = own.accept()
    loop.run_until_complete(loop.connect_accepted_socket(lambda: protocol, connection))
    for _ in range(5):
        _pass(loop)
    assert len(state.connections) == len(clients)  # each that is taken takes others
    assert not state.tasks
    for client in clients:
        client.close()
    for taken in list(state.connections):
        taken.transport.close()
    _pass(loop)


def test_a_connection_on_which_nothing_comes_is_closed(own: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    own.listen()
    protocol = Protocol(uvicorn.Config(FastAPI(), log_config=None, timeout_keep_alive=0), ServerState(), {}, loop)
    with socket.create_connection(own.getsockname(), timeout=SECONDS) as client:
        connection, _ = own.accept()
        loop.run_until_complete(loop.connect_accepted_socket(lambda: protocol, connection))
        received = loop.run_in_executor(None, client.recv, 1)
        assert loop.run_until_complete(received) == b""


def test_a_connection_on_which_a_head_never_ends_is_closed(own: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    timers = []

    async def answer(_: Any, __: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        timers.append(protocol.timeout_keep_alive_task)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    own.listen()
    protocol = Protocol(uvicorn.Config(answer, log_config=None, timeout_keep_alive=1), ServerState(), {}, loop)
    with socket.create_connection(own.getsockname(), timeout=SECONDS) as client:
        connection, _ = own.accept()
        loop.run_until_complete(loop.connect_accepted_socket(lambda: protocol, connection))
        for part in (b"GET / HTTP/1.1\r\n", b"host: x\r\n\r\n"):  # one that ends in time is answered
            client.sendall(part)
            _pass(loop)
        answered = loop.run_in_executor(None, client.recv, 1000)
        assert loop.run_until_complete(answered).startswith(b"HTTP/1.1 204 ")
        assert timers == [None]

        client.sendall(b"GET / HTTP/1.1\r\n")
        assert loop.run_until_complete(loop.run_in_executor(None, client.recv, 1000)) == b""


async def _answer_empty(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_connections_that_wait_are_answered_once_while_the_server_ends(
    own: socket.socket, loop: asyncio.AbstractEventLoop
) -> None:
    own.listen()
    config = uvicorn.Config(_answer_empty, log_config=None)
    config.load()
    with socket.create_connection(own.getsockname(), timeout=SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        make = partial(Protocol, config, ServerState(), {"is_ending": True}, loop)
        loop.run_until_complete(accept_waiting(own, make))
        answer = loop.run_until_complete(
            loop.run_in_executor(None, lambda: b"".join(iter(lambda: client.recv(1000), b"")))
        )  # up to its end
    assert answer.startswith(b"HTTP/1.1 204 ") and b"connection: close" in answer


def test_an_address_that_somebody_listens_on_is_refused(own: socket.socket) -> None:
    with pickle.loads(pickle.dumps(own)) as listener:
        listener.listen()
        with pytest.raises(SettingsError, match="cannot listen on 127.0.0.1 port .*Address already in use"):
            bind(*own.getsockname())


def test_an_address_of_version_6_is_taken() -> None:
    with bind("::1", 0) as bound:
        assert bound.family == socket.AF_INET6


def _accept_all(listener: socket.socket) -> Iterator[None]:
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.close()
        yield
