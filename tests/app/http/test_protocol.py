"""Uvicorn's protocol with limits, over real sockets."""

import asyncio
import json
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http import protocol
from app.http.access import Access
from app.http.problems import Answer as Sent
from app.http.protocol import MOST_HEAD_BYTES, Protocol
from app.http.stack import Stack
from app.settings import Settings
from tests.app.conftest import Log
from tests.conftest import SECONDS, serve_app
from tests.reliability.clients import LIVE, Answer, Connection, make_chunked, make_request

SOON = SECONDS / 8  # generous, because other tests may use the processor
SHORT = 0.2  # seconds of a limit that a test waits for
MOST_BODY_BYTES = 1 << 20
ECHO = make_request("POST", "/echo", body=b"hello")


class App:
    """A small app: each path answers in its own way."""

    def __init__(self) -> None:
        self.let_through = threading.Event()
        self.left = threading.Event()  # a client, before it was answered
        self.started = threading.Event()  # an answer
        self.is_ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["is_ending"] = self.is_ending
            await send({"type": "lifespan.startup.complete"})
            return
        content = b"alive"
        match scope["path"]:
            case "/echo":
                content = await Request(scope, receive).body()
            case "/headers":
                content = json.dumps([name.decode() for name, _ in scope["headers"]]).encode()
            case "/large":
                content = bytes(32 << 20)
            case "/wait":
                await self._wait(receive)
            case "/begin":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"begun", "more_body": True})
                self.started.set()
                while (await receive())["type"] == "http.request":
                    pass
                self.left.set()
                return
        headers = [(b"content-length", str(len(content)).encode())]
        await Sent(200, headers, content).send(send)  # type: ignore[arg-type]

    async def _wait(self, receive: Receive) -> None:
        """Wait until a test lets the request through or the client leaves."""
        await receive()
        leaving = asyncio.ensure_future(receive())
        self.started.set()
        while not self.let_through.is_set() and not leaving.done():
            await asyncio.sleep(0.01)
        if leaving.done():
            self.left.set()
        leaving.cancel()


@pytest.fixture
def app() -> App:
    return App()


@contextmanager
def serve(app: ASGIApp) -> Iterator[int]:
    """Serve an app, and give its port."""
    settings = Settings(max_body_bytes=MOST_BODY_BYTES, deadline_ms=1000 * SECONDS)
    with serve_app(Stack(app, settings, Access(settings))) as client:
        port = client.base_url.port
        assert port is not None
        yield port


@pytest.fixture
def port(app: App) -> Iterator[int]:
    with serve(app) as port:
        yield port
        app.let_through.set()


@pytest.fixture
def keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are kept for a moment."""

    class Impatient(Protocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.timeout_keep_alive = SHORT  # type: ignore[assignment]

    monkeypatch.setattr("tests.conftest.Protocol", Impatient)


def read(connection: Connection) -> Answer:
    answer = connection.read()
    assert answer is not None
    return answer


# Pipelines.


def make_pipeline(count: int) -> tuple[bytes, list[bytes]]:
    """Return requests of all kinds, and the bodies of their answers."""
    requests, bodies = [], []
    for number in range(count):
        body = b"%d\r\n\r\n" % number * (number % 7 * 50)
        match number % 4:
            case 0:
                requests.append(LIVE)
                bodies.append(b"alive")
            case 1:
                requests.append(make_request("POST", "/echo", body=body))
                bodies.append(body)
            case 2:
                head = make_request("POST", "/echo", "transfer-encoding: chunked", "trailer: x")
                chunks = b"".join(make_chunked([body[:9], body[9:500], body[500:]] if len(body) > 500 else []))
                trailer = b"x: 1\r\n\r\n" if number % 8 == 2 else b"\r\n"
                requests.append(head + chunks.removesuffix(b"\r\n") + trailer)
                bodies.append(body if len(body) > 500 else b"")
            case 3:  # a body that nobody reads
                requests.append(make_request("GET", "/livez", body=body))
                bodies.append(b"alive")
    return b"".join(requests), bodies


def cut_at_random(data: bytes, generator: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = generator.choice([1, 1, 2, 3, 10, 100, 2000])
        yield data[at : at + size]
        at += size


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_pipelined_requests_are_answered_in_order_wherever_they_are_cut(port: int, seed: int | None) -> None:
    data, bodies = make_pipeline(400)
    pieces = iter([data]) if seed is None else cut_at_random(data, random.Random(seed))
    with Connection(port) as connection:
        sender = threading.Thread(target=lambda: [connection.send(piece) for piece in pieces])
        sender.start()
        for body in bodies:
            answer = read(connection)
            assert answer.status == 200 and answer.body == body
        sender.join()


@pytest.mark.parametrize(
    "second", [LIVE, ECHO, LIVE.replace(b"\r\n\r\n", b"\r\nupgrade: h2c\r\n\r\n"), b"nonsense\r\n\r\n"]
)
def test_the_end_of_a_chunked_body_is_found_wherever_parsing_pauses(port: int, second: bytes) -> None:
    for size in range(protocol.MOST_PARSED_BYTES - 24, protocol.MOST_PARSED_BYTES + 8):
        with Connection(port) as connection:
            connection.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            connection.send(b"%x\r\n%b\r\n0\r\n\r\n%b" % (size, b"x" * size, second))
            assert read(connection).body == b"x" * size
            assert read(connection).status == (400 if second.startswith(b"nonsense") else 200)


def test_a_pipelined_request_waits_for_the_answer_before_it(app: App, port: int) -> None:
    with Connection(port) as connection:
        connection.send(make_request("GET", "/wait") + make_request("GET", "/headers", "upgrade: h2c") + b"nonsense")
        assert app.started.wait(SECONDS)
        app.let_through.set()
        assert read(connection).body == b"alive"
        assert b"x-upgrade" in read(connection).body
        assert read(connection).status == 400


def test_a_client_that_sends_and_never_reads_is_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", SHORT)
    with Connection(port, SOON) as connection:
        try:
            while connection.send(LIVE * 100):
                pass
        except TimeoutError:
            connection.socket.settimeout(SOON)
            while connection.send(LIVE):
                pass


def test_a_client_that_reads_slowly_gets_everything(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", SOON)
    with Connection(port) as connection:
        connection.send(make_request("GET", "/large"))
        assert len(read(connection).body) == 32 << 20
        assert connection.ask(LIVE).body == b"alive"


# Limits of heads, trailers and chunk extensions.

CHUNKED = make_request("POST", "/echo", "transfer-encoding: chunked")
ENDLESS = {
    "headers": (b"GET /livez HTTP/1.1\r\nhost: x\r\n", b"name: value\r\n", 431),
    "value": (b"GET /livez HTTP/1.1\r\nname: ", b"value", 431),
    "url": (b"GET /", b"path/", 414),
    "query": (b"GET /livez?", b"a=b&", 414),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"name: value\r\n", 431),
    "extensions": (CHUNKED + b"1", b";name=value", 431),
    "lines": (b"", b"\r\n", 431),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless_bytes_besides_a_body_are_rejected_past_the_limit(port: int, log: Log, what: str) -> None:
    begin, endless, status = ENDLESS[what]
    sent = 0
    with Connection(port) as connection:
        connection.send(begin)
        for _ in range(2 * MOST_HEAD_BYTES // len(endless)):
            sent += connection.send(endless * 10) and len(endless) * 10
            if sent > MOST_HEAD_BYTES and connection.socket in select(connection.socket):
                break
        answer = read(connection)
        problem = answer.problem({431: "head-too-large", 414: "url-too-long"}[status])
        assert answer.status == status and answer.closes
        assert str(MOST_HEAD_BYTES) in problem["detail"]
        assert connection.read_end() == b""
    line = log.wait_for(status=status)
    assert line["level"] == "INFO" and line["client"] == "127.0.0.1"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "name" not in line["message"]


def select(one: socket.socket) -> list[socket.socket]:
    """Return the socket if it can be read from."""
    one.setblocking(False)
    try:
        return [one] if one.recv(1, socket.MSG_PEEK) is not None else []
    except BlockingIOError:
        return []
    finally:
        one.settimeout(SECONDS)


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
def test_a_head_may_have_exactly_the_limit(port: int, more: int, status: int) -> None:
    rest = len(make_request("GET", "/livez", "name: "))
    request = make_request("GET", "/livez", "name: " + "x" * (MOST_HEAD_BYTES - rest + more))
    with Connection(port) as connection:
        assert connection.ask(LIVE).status == 200
        assert connection.ask(request).status == status


def test_a_large_chunked_body_has_no_limit_of_a_head(port: int) -> None:
    body = bytes(MOST_BODY_BYTES)
    with Connection(port) as connection:
        assert connection.ask(CHUNKED + b"".join(make_chunked([body]))).body == body
        parts = [body[:99]] * 10_000
        assert connection.ask(CHUNKED + b"".join(make_chunked(parts))).body == b"".join(parts)


def test_trailers_are_dropped(port: int) -> None:
    request = make_request("POST", "/headers", "transfer-encoding: chunked")
    with Connection(port) as connection:
        answer = connection.ask(request + b"0\r\nhost: other\r\nname: value\r\n\r\n")
        assert answer.status == 200 and json.loads(answer.body) == ["host", "transfer-encoding"]
        assert connection.ask(LIVE).status == 200


def test_a_body_of_tiny_chunks_does_not_stop_others(port: int) -> None:
    chunks = CHUNKED + b"".join(make_chunked([b"\r\n\r\n" * 200_000]))
    with Connection(port) as flooding, Connection(port) as other:
        sender = threading.Thread(target=flooding.ask, args=[chunks])
        sender.start()
        waits = []
        while sender.is_alive():
            started = time.monotonic()
            assert other.ask(LIVE).status == 200
            waits.append(time.monotonic() - started)
        sender.join()
    assert len(waits) > 5 and sorted(waits)[len(waits) // 2] < SHORT


def test_a_connection_is_closed_although_chunks_are_not_parsed(port: int) -> None:
    request = make_request("GET", "/livez", "connection: close", "transfer-encoding: chunked")
    with Connection(port) as connection:
        assert connection.ask(request + b"1\r\nx\r\n" * 10_000).closes
        assert connection.read_end() == b""


def test_a_client_that_leaves_while_its_chunks_are_parsed_is_forgotten(app: App, port: int, log: Log) -> None:
    for _ in range(20):
        with Connection(port) as connection:
            connection.send(make_request("POST", "/begin", "transfer-encoding: chunked") + b"1\r\nx\r\n" * 30_000)
            assert app.started.wait(SECONDS)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert app.left.wait(SOON)
        app.started.clear()
        app.left.clear()
    with Connection(port) as connection:
        connection.ask(make_request("GET", "/next"))
    log.wait_for(path="/next")
    assert "ERROR" not in log.text


def test_a_client_that_is_dropped_while_its_chunks_are_parsed_is_forgotten(
    port: int, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.001)
    with Connection(port) as connection:
        connection.send(make_request("POST", "/large", "transfer-encoding: chunked") + b"1\r\nx\r\n" * 30_000)
        connection.read_end()
    with Connection(port) as connection:
        connection.ask(make_request("GET", "/next"))
    log.wait_for(path="/next")
    assert "ERROR" not in log.text


# Clients that leave, or close their side.


def test_a_half_closed_client_is_answered_and_then_closed(port: int) -> None:
    with Connection(port) as connection:
        connection.send(ECHO * 3)
        connection.socket.shutdown(socket.SHUT_WR)
        assert [read(connection).body for _ in range(3)] == [b"hello"] * 3
        assert connection.read_end() == b""


def test_a_half_closed_client_waits_for_its_answer_for_a_moment(app: App, port: int) -> None:
    with Connection(port) as connection:
        connection.send(make_request("GET", "/wait"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert app.started.wait(SECONDS)
        app.let_through.set()
        assert read(connection).body == b"alive"
        assert connection.read_end() == b""


def test_a_half_closed_client_is_closed_after_its_last_whole_request(app: App, port: int) -> None:
    with Connection(port) as connection:
        connection.send(make_request("GET", "/wait") + LIVE[:10])
        connection.socket.shutdown(socket.SHUT_WR)
        assert app.started.wait(SECONDS)
        started = time.monotonic()
        app.let_through.set()
        assert read(connection).body == b"alive"
        assert connection.read_end() == b""
        assert time.monotonic() - started < protocol.HALF_CLOSED_SECONDS


@pytest.mark.parametrize("leave", ["shutdown", "close", "reset"])
def test_a_client_that_leaves_is_noticed(app: App, port: int, monkeypatch: pytest.MonkeyPatch, leave: str) -> None:
    monkeypatch.setattr(protocol, "HALF_CLOSED_SECONDS", SHORT)
    with Connection(port) as connection:
        connection.send(make_request("GET", "/wait"))
        assert app.started.wait(SECONDS)
        if leave == "reset":
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if leave == "shutdown":
            connection.socket.shutdown(socket.SHUT_WR)
        else:
            connection.__exit__()
        assert app.left.wait(SOON)


@pytest.mark.parametrize("request_", [LIVE[:20], ECHO[:-1]], ids=["head", "body"])
def test_a_client_that_closes_its_side_in_a_request_is_closed(port: int, request_: bytes) -> None:
    with Connection(port) as connection:
        connection.send(request_)
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_end() == b""


# Upgrades.

JAVA = make_request(
    "POST",
    "/echo",
    "Connection: Upgrade, HTTP2-Settings",
    "HTTP2-Settings: AAEAAEAAAAIAAAAB",
    "Upgrade: h2c",
    body=b"{}",
)


@pytest.mark.parametrize("at", [None, *range(JAVA.index(b"\r\nUpgrade:"), JAVA.index(b"h2c") + 1)])
def test_an_upgrade_to_another_protocol_is_ignored(port: int, at: int | None) -> None:
    with Connection(port) as connection:
        if at is None:
            assert connection.ask(JAVA + LIVE).body == b"{}"
            assert read(connection).body == b"alive"
        else:
            connection.send(JAVA[:at])
            assert connection.ask(JAVA[at:]).body == b"{}"


# Times.


def send_slowly(connection: Connection, data: Iterator[bytes]) -> float:
    """Send bytes one after the other until the connection is closed; return the seconds it took."""
    started = time.monotonic()
    connection.socket.settimeout(SHORT / 10)
    while time.monotonic() - started < SOON:
        try:
            if not connection.socket.recv(1000):
                break
        except TimeoutError:
            connection.send(next(data))
        except ConnectionResetError:
            break
    return time.monotonic() - started


SLOW = {
    "head": (LIVE[:25], b"x"),
    "lines": (b"", b"\r\n"),
    "the rest of a body that nobody reads": (b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_request_that_stays_incomplete_is_closed(port: int, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 3 * SHORT)
    begin, more = SLOW[what]
    with Connection(port) as connection:
        assert connection.ask(LIVE).status == 200
        assert 2 * SHORT < send_slowly(connection, chain([begin], repeat(more))) < SOON


def test_each_head_has_its_own_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 3 * SHORT)
    started = time.monotonic()
    with Connection(port) as connection:
        while time.monotonic() - started < 6 * SHORT:
            connection.send(LIVE[:-9])
            time.sleep(SHORT)
            assert connection.ask(LIVE[-9:]).status == 200


@pytest.mark.usefixtures("keep_alive")
@pytest.mark.parametrize("requests", [0, 1])
def test_an_idle_connection_is_closed(port: int, requests: int) -> None:
    with Connection(port) as connection:
        for _ in range(requests):
            assert connection.ask(LIVE).status == 200
        started = time.monotonic()
        assert connection.read_end() == b""
        assert SHORT / 2 < time.monotonic() - started < SOON


def test_a_connection_is_closed_after_a_number_of_requests(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_REQUESTS", 3)
    with Connection(port) as connection:
        connection.send(LIVE * 3)
        assert [read(connection).closes for _ in range(3)] == [False, False, True]
        assert connection.read_end() == b""


def test_a_connection_is_closed_after_a_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_SECONDS", -1)
    with Connection(port) as connection:
        assert connection.ask(LIVE).closes
        assert connection.read_end() == b""


def test_each_answer_closes_its_connection_while_the_server_ends(app: App) -> None:
    app.is_ending = True
    with serve(app) as port, Connection(port) as connection:
        assert connection.ask(LIVE).closes


# Rejected clients.


def test_clients_past_the_limit_of_open_files_are_rejected(
    port: int, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(protocol, "RESERVED_FILES", limit - 2)  # one is that of `serve_app`
    monkeypatch.setattr(Protocol, "_warned_at", -SECONDS)
    with Connection(port) as first:
        assert first.ask(LIVE).status == 200
        for _ in range(3):
            with Connection(port) as refused:
                answer = read(refused)
                answer.problem("not-ready")
                assert answer.status == 503 and answer.headers["retry-after"] == "1" and answer.closes
                assert refused.read_end() == b""
    for _ in range(3):
        log.wait_for(status=503)
    assert log.text.count('"level": "ERROR"') == 1  # one line for all
    end = time.monotonic() + SOON
    while True:  # until the service has noticed that the first has left
        with Connection(port) as another:
            if another.ask(LIVE).status == 200:
                break
        assert time.monotonic() < end


INVALID = {
    "nonsense": b"secret\r\n\r\n",
    "the begin of TLS": b"\x16\x03\x01\x02secret",
    "no CR": b"GET /livez HTTP/1.1\nhost: secret\n\n",
    "a path of other characters": b"GET /secret\xff HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT secret:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT with a path": b"CONNECT /secret HTTP/1.1\r\nhost: x\r\n\r\n",
    "two lengths": b"POST /secret HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    "a length and chunks": b"POST /s HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "a header over two lines": b"GET /livez HTTP/1.1\r\nhost: x\r\nname: secret\r\n secret\r\n\r\n",
    "a length of many digits": b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"0" * 4301 + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nsecret",
}


@pytest.mark.parametrize("what", INVALID)
def test_invalid_http_is_rejected_with_a_problem_and_one_line_in_the_log(port: int, log: Log, what: str) -> None:
    with Connection(port) as connection:
        answer = connection.ask(INVALID[what])
        assert answer.status == 400 and answer.closes
        assert "HTTP/1.1" in answer.problem("bad-request")["detail"]
        assert connection.read_end() == b""
    with Connection(port) as connection:
        connection.ask(make_request("GET", "/next"))
    log.wait_for(path="/next")
    (line,) = (json.loads(line) for line in log.text.splitlines() if line and '"status": 400' in line)
    assert line["level"] == "INFO"
    assert "secret" not in log.text and "WARNING" not in log.text


@pytest.mark.parametrize("header", ["name: value", "expect: 100-continue"])
def test_a_broken_body_is_rejected_and_its_request_ends(port: int, log: Log, header: str) -> None:
    with Connection(port) as connection:
        request = make_request("POST", "/echo", "transfer-encoding: chunked", header)
        answer = connection.ask(request + b"2\r\nab\r\nzz\r\n")
        assert answer.status == 400 and answer.closes
        assert connection.read_end() == b""
    line = log.wait_for(message="answered")
    assert line["status"] == 400 and line["request_id"] == answer.headers["x-request-id"]
    assert "ERROR" not in log.text


def test_a_broken_body_that_the_app_does_not_read_closes_the_connection(port: int) -> None:
    with Connection(port) as connection:
        request = make_request("POST", "/livez", "transfer-encoding: chunked") + b"2\r\nab\r\nzz\r\n"
        assert connection.ask(request + LIVE).closes
        assert connection.read_end() == b""


def test_a_broken_body_ends_an_answer_that_has_begun(app: App, port: int) -> None:
    with Connection(port) as connection:
        connection.send(make_request("POST", "/begin", "transfer-encoding: chunked") + b"2\r\nab\r\n")
        assert app.started.wait(SECONDS)
        connection.send(b"zz\r\n")
        assert connection.read_end().count(b"HTTP/1.1") == 1
    assert app.left.wait(SOON)


def test_a_rejected_client_that_still_sends_gets_the_answer(port: int) -> None:
    with Connection(port) as connection:
        connection.send(b"secret\r\n\r\n")
        while connection.send(bytes(100_000)):  # until the service gives up
            pass
        assert read(connection).status == 400


def test_a_client_that_expects_100_continue_gets_it(port: int) -> None:
    head, body = make_request("POST", "/echo", "expect: 100-continue", body=b"hello")[:-5], b"hello"
    with Connection(port) as connection:
        connection.send(head)
        assert connection.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.ask(body).body == body
