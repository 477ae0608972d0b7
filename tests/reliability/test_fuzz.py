"""Twenty thousand mutated requests over raw sockets: no answer is a 500, no client waits for ever, no worker grows."""

import json
import random
import re
import socket
import string
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients import REQUEST
from tests.app.service import ROOT, Service, run_service
from tests.conftest import SECONDS
from tests.reliability.clients import Connection, make_chunked
from tests.reliability.test_connections import MOST_GROWTH, measure_memory

REQUESTS = 20_000
CLIENTS = 6
SEED = 20_260_701
MOST_SECONDS = 90  # all together
MOST_PIPELINED = 12
STATUSES = {200, 204, 307, 400, 403, 404, 405, 408, 413, 414, 415, 422, 431, 503, 504}

VALID: list[tuple[str, Any]] = [
    ("/sentiment", {"text": "good"}),
    ("/sentiment", {"text": "A wonderful film.", "model": "imdb-500"}),
    ("/sentiment/batch", {"texts": ["good", "bad", ""]}),
    ("/next-letter", {"sequence": "ABC"}),
    ("/next-letter/batch", {"sequences": ["A", "XYZ"], "model": "alphabet-variable-length"}),
]
GET_PATHS = [
    "/livez",
    "/readyz",
    "/models",
    "/models/sentiment",
    "/models/x",
    "/",
    "/docs",
    "/openapi.json",
    "/nothing",
]
METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH"]
HEADERS = [
    *("content-type: application/json", "content-type: text/plain", "content-type:", "expect: 100-continue"),
    *("connection: close", "connection: keep-alive", "connection: upgrade", "upgrade: h2c", "upgrade: websocket"),
    *("x-deadline-ms: 1", "x-deadline-ms: 1000", "x-deadline-ms: -1", "x-request-id: a", "x-request-id: {}"),
    *("transfer-encoding: gzip", "transfer-encoding: chunked", "content-length: 3", "content-length: 99999999999"),
    *("host: other", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "cookie: a=b"),
    *("accept-encoding: gzip", "te: trailers", "range: bytes=0-1", "content-encoding: gzip", "name: " + "x" * 9000),
]
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Fuzzer:
    """Makes requests from a seed: some are valid, most have been changed a little somewhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def make_request(self) -> bytes:
        """Return one request; the head and the chunks of most are valid, so that those behind them are answered too."""
        choice, is_odd = self.random.choice, self.random.random() < 0.2
        path, value = choice(VALID)
        method = "POST"
        if self.random.random() < 0.3:
            path, method = choice(GET_PATHS), choice(["GET", "HEAD"])
        if self.random.random() < 0.1:
            method = choice([*METHODS, "CONNECT"] if is_odd else METHODS)
        headers = [choice(HEADERS) for _ in range(self.random.choice([1, 2]) if is_odd else 0)]
        body = self.make_body(value)
        if self.random.random() < 0.3:
            headers.append("transfer-encoding: chunked")
            cuts = self.random.randint(1, 1 + len(body))
            body = b"".join(make_chunked([*cut(body, cuts)]))
            body = self.change(body, 0.3 * is_odd)
        elif not is_odd or self.random.random() < 0.9:
            headers.append(f"content-length: {len(body)}")
        version = choice(["1.1"] * 20 + ["1.0", "2.0", "0.9", "9.9"]) if is_odd else "1.1"
        lines = [f"{method} {self.make_path(path)} HTTP/{version}", *headers]
        lines += [line for line in ("host: localhost", "content-type: application/json") if self.random.random() < 0.97]
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        return self.change(head, 0.3 * is_odd) + body

    def make_path(self, path: str) -> str:
        """Return a path, with something odd behind some."""
        odd = ["%00", "%ff", "?text=good", "?" + "a" * 3000, "/..", "//", "%", "#x", "a" * 3000, "\xe4"]
        return path + (self.random.choice(odd) if self.random.random() < 0.1 else "")

    def make_body(self, value: Any) -> bytes:
        """Return a body: the value, another one, or no JSON."""
        if self.random.random() < 0.4:
            value = value | {self.random.choice([*value, "model", "top", "x"]): self.make_value(0)}
        body = json.dumps(value).encode()
        if self.random.random() < 0.03:
            body = self.random.choice(
                [b"[" * 15_000, b"x" * 30_000, b"x" * 30_000, b"", b'"\\ud800"', b"\xff\xfe", b"9" * 5000]
            )
        return self.change(body, 0.3)

    def make_value(self, depth: int) -> Any:
        """Return any value that JSON has, and some that it has not."""
        match self.random.randrange(9 if depth < 3 else 7):
            case 0:
                return "".join(self.random.choices(string.printable + "äß漢😀\ud800\0", k=self.random.randrange(40)))
            case 1:
                return self.random.choice([0, -1, 10**400, 1.5, 1e308, float("nan"), float("-inf")])
            case 2:
                return self.random.choice([None, True, False])
            case 3:
                return self.random.choice(string.ascii_uppercase) * self.random.choice([1, 30, 6000])
            case 4:
                return ["A"] * self.random.choice([0, 1, 200])
            case 5:
                return self.random.choice(["sentiment", "imdb-500", "next-letter", "none", "", "m" * 500])
            case 6:
                return "good " * self.random.choice([1, 100, 2000])
            case 7:
                return [self.make_value(depth + 1) for _ in range(self.random.randrange(4))]
        return {"text": self.make_value(depth + 1), "model": self.make_value(depth + 1)}

    def change(self, data: bytes, share: float) -> bytes:
        """Return a share of data changed: bytes flipped, dropped, repeated, or put in."""
        if not data or self.random.random() >= share:
            return data
        changed = bytearray(data)
        for _ in range(self.random.choice([1, 1, 2, 5])):
            at = self.random.randrange(len(changed) + 1)
            match self.random.randrange(4):
                case 0:
                    changed[at : at + 1] = self.random.randbytes(1)
                case 1:
                    del changed[at : at + self.random.randrange(1, 9)]
                case 2:
                    changed[at:at] = changed[at : at + self.random.randrange(1, 30)]
                case 3:
                    changed[at:at] = self.random.choice([b"\r\n", b"\n", b"\0", b"\r\n\r\n", b":", b" ", b"\xff"])
        return bytes(changed)

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Yield data in the pieces in which it is sent."""
        size = self.random.choice([1 << 20, 1 << 20, 1000, 100])
        return cut(data, size)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """Yield data in pieces of a size."""
    return (data[at : at + size] for at in range(0, len(data), size))


def run_client(port: int, seed: int, requests: int) -> tuple[Counter[int], float]:
    """Send requests over one connection after the other; return the statuses, and the longest wait for a close."""
    fuzzer, statuses, longest = Fuzzer(seed), Counter[int](), 0.0
    while requests > 0:
        count = min(requests, fuzzer.random.randint(1, MOST_PIPELINED))
        requests -= count
        data = b"".join(fuzzer.make_request() for _ in range(count))
        leave: Callable[[Connection], None] = fuzzer.random.choice([half_close] * 8 + [close, reset])
        with Connection(port) as connection:
            for piece in fuzzer.cut(data):
                if not connection.send(piece):
                    break
            sent_at = time.monotonic()
            leave(connection)
            if leave is half_close:
                statuses.update(map(int, STATUS.findall(connection.read_end())))
                longest = max(longest, time.monotonic() - sent_at)
    return statuses, longest


def half_close(connection: Connection) -> None:
    try:
        connection.socket.shutdown(socket.SHUT_WR)
    except OSError:  # the service has closed the connection
        pass


def close(_: Connection) -> None:
    """Leave it to the end of the block."""


def reset(connection: Connection) -> None:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    limits = {"LSTM_SERVE_MAX_BODY_BYTES": "20000", "LSTM_SERVE_MAX_TEXT_CHARACTERS": "5000"}
    environment = {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_DEADLINE_MS": "5000", "LSTM_SERVE_MAX_BATCH": "64"}
    with run_service(ROOT / "models", tmp_path / "log", **limits, **environment) as service:
        service.wait_until(lambda: service.count("a worker is ready") == 2)
        yield service


def test_no_request_breaks_the_service(service: Service) -> None:
    workers = service.workers()
    for client in range(100):  # first requests fill caches
        run_client(service.port, client, 10)
    before = measure_memory(service)
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as threads:
        share = REQUESTS // CLIENTS + 1
        running = [threads.submit(run_client, service.port, SEED + client, share) for client in range(CLIENTS)]
        outcomes = [client.result(SECONDS) for client in running]
    seconds = time.monotonic() - started
    statuses = sum((counter for counter, _ in outcomes), Counter[int]())
    grown = measure_memory(service) - before
    longest = max(wait for _, wait in outcomes)
    assert statuses.keys() <= STATUSES | {100}
    assert min(statuses[status] for status in (200, 400, 404, 405, 413, 415, 422)) > 10
    assert statuses.total() > REQUESTS / 3  # the others came behind invalid ones, or their clients left
    assert seconds < MOST_SECONDS and longest < SECONDS / 8 and grown < MOST_GROWTH
    lines = service.lines()
    assert [line for line in lines if line["level"] in ("WARNING", "ERROR", "CRITICAL")] == []
    assert service.workers() == workers
    with Connection(service.port) as connection:
        assert connection.ask(REQUEST).status == 200
