"""Drills with the connections of a real service: floods, limits, clients that leave, and odd but valid requests."""

import asyncio
import contextlib
import json
import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.http.limits import MOST_LARGE_BODIES
from app.http.problems import PATH_CHARACTERS
from app.http.protocol import HALF_CLOSED_SECONDS, MOST_HEAD_BYTES, MOST_REQUESTS, RESERVED_FILES
from benchmarks.clients import REQUEST
from tests.app.service import ROOT, Service, run_service
from tests.conftest import SECONDS
from tests.reliability.clients import LIVE, Connection, make_request

SOON = SECONDS / 8
FLOOD_SECONDS = 2.5
MOST_GROWTH = 50  # MB
MOST_LIVE_SECONDS = 0.25  # 99th percentile of /livez during a flood
MEGABYTE = 1 << 20
PLACES = 12_000  # texts for which an engine needs seconds
MODELS = ROOT / "models"
MOST_BODY_BYTES = 20_000
JSON = "content-type: application/json"
GOOD = b'{"text":"good"}'


@contextmanager
def start(log: Path, **environment: str) -> Iterator[Service]:
    """Start a service with two workers, and wait until it is ready."""
    settings = {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_DEADLINE_MS": "5000"}
    settings |= {"LSTM_SERVE_MAX_BODY_BYTES": str(MOST_BODY_BYTES)}
    with run_service(MODELS, log, **settings | environment) as service:
        service.wait_until(lambda: service.count("a worker is ready") == 2)
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with start(tmp_path_factory.mktemp("service") / "log") as service:
        yield service


@pytest.fixture
def connection(service: Service) -> Iterator[Connection]:
    with Connection(service.port) as connection:
        yield connection


def measure_memory(service: Service) -> float:
    """Return the megabytes of the workers, without files that are mapped."""
    texts = (Path(f"/proc/{pid}/status").read_text() for pid in service.workers())
    return sum(int(kilobytes) for text in texts for kilobytes in re.findall(r"RssAnon:\s+(\d+)", text)) / 1024


@contextmanager
def flood(service: Service, run: Callable[[threading.Event], None], threads: int) -> Iterator[None]:
    """Run a flood in threads until the block ends."""
    end = threading.Event()
    with ThreadPoolExecutor(threads) as executor:
        running = [executor.submit(run, end) for _ in range(threads)]
        try:
            yield
        finally:
            end.set()
            for flooding in running:
                flooding.result()
    assert service.process.poll() is None


def ask_during(service: Service, seconds: float) -> tuple[list[float], float]:
    """Ask /livez for some seconds; return how long each answer took, and the most megabytes of the workers."""
    waits, most = [], 0.0
    end = time.monotonic() + seconds
    with ExitStack() as open_connections:
        connections = [open_connections.enter_context(Connection(service.port)) for _ in range(4)]
        while time.monotonic() < end:
            for place, connection in enumerate(connections):
                sent_at = time.monotonic()
                answer = connection.ask(LIVE)
                waits.append(time.monotonic() - sent_at)
                assert answer.status == 200
                if answer.closes:
                    connections[place] = open_connections.enter_context(Connection(service.port))
            most = max(most, measure_memory(service))
            time.sleep(0.02)  # the flood needs processor time
    return waits, most


def assert_calm(service: Service, run: Callable[[threading.Event], None], threads: int = 1) -> None:
    """Check that a flood makes no worker large or slow, and that the memory comes back."""
    before = measure_memory(service)
    with flood(service, run, threads):
        waits, most = ask_during(service, FLOOD_SECONDS)
    slow = sorted(waits)[int(0.99 * len(waits))]
    after = measure_memory(service)
    figures = f"{most - before:.1f} MB more, {after - before:.1f} MB afterwards, p99 {1000 * slow:.0f} ms"
    assert most - before < MOST_GROWTH, figures
    assert after - before < MOST_GROWTH / 2, figures
    assert slow < MOST_LIVE_SECONDS, figures


def send_until(connection: Connection, data: bytes, end: threading.Event) -> None:
    """Send the same bytes again and again, as long as the service reads them."""
    connection.socket.settimeout(0.1)
    at, view = 0, memoryview(data)
    while not end.is_set():
        try:
            at = (at + connection.socket.send(view[at:])) % len(data)
        except TimeoutError:
            pass
        except OSError:
            return


def test_a_client_that_pipelines_and_never_reads_costs_little(service: Service) -> None:
    def run(end: threading.Event) -> None:
        with Connection(service.port) as connection:
            send_until(connection, LIVE * 1000, end)

    assert_calm(service, run)


def test_a_client_that_pipelines_and_reads_costs_little(service: Service) -> None:
    def run(end: threading.Event) -> None:
        while not end.is_set():
            with Connection(service.port) as connection:
                reader = threading.Thread(target=connection.read_end)
                reader.start()
                send_until(connection, LIVE * 100, end)
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_WR)
                reader.join()

    assert_calm(service, run)


CHUNKED = make_request("POST", "/sentiment", JSON, "transfer-encoding: chunked")
ENDLESS = {
    "headers": (b"GET /livez HTTP/1.1\r\n", b"name: value\r\n" * 1000),
    "value": (b"GET /livez HTTP/1.1\r\nname: ", b"value" * 3000),
    "url": (b"GET /", b"path/" * 3000),
    "trailers": (CHUNKED + b"0\r\n", b"name: value\r\n" * 1000),
    "extensions": (CHUNKED + b"1", b";name=value" * 1000),
    "body": (make_request("POST", "/sentiment", JSON, "content-length: 1000000000000"), bytes(MEGABYTE)),
    "chunks": (CHUNKED, b"1\r\n{\r\n" * 10_000),
    "lines in a chunk": (CHUNKED + b"fffffff\r\n", b"\r\n\r\n" * 10_000),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless_requests_cost_little(service: Service, what: str) -> None:
    begin, endless = ENDLESS[what]

    def run(end: threading.Event) -> None:
        while not end.is_set():
            with Connection(service.port) as connection:
                connection.send(begin)
                send_until(connection, endless, end)

    assert_calm(service, run, threads=4)


VALUES = {
    "lists": b"[%b]" % b",".join([b"[]"] * 1_390_000),
    "texts": b'{"texts":[%b]}' % b",".join([b'""'] * 1_390_000),
    "fields": b"{%b}" % b",".join(b'"k%d":1' % key for key in range(320_000)),
    "one text of commas": b'{"text":"%b"}' % (b",[" * 2_000_000),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the default limit of a body."""
    with start(tmp_path_factory.mktemp("large") / "log", LSTM_SERVE_MAX_BODY_BYTES="4194304") as service:
        yield service


@pytest.mark.parametrize("what", VALUES)
def test_bodies_of_very_many_values_do_not_stop_others(large: Service, what: str) -> None:
    request = make_request("POST", "/sentiment", JSON, body=VALUES[what])

    def run(end: threading.Event) -> None:
        while not end.is_set():
            with Connection(large.port) as connection:
                assert connection.ask(request).status == 422

    assert_calm(large, run, threads=4)
    assert large.count("a worker is killed: it has not reported for 5 s") == 0


def test_bodies_that_stop_fill_no_memory(large: Service) -> None:
    before = measure_memory(large)
    head = make_request("POST", "/sentiment", JSON, "content-length: 4194304")
    with ExitStack() as open_connections:
        for _ in range(100):
            open_connections.enter_context(Connection(large.port)).send(head + bytes(4_190_000))
        assert measure_memory(large) - before < 2 * MOST_LARGE_BODIES * 4.2 + MOST_GROWTH
        answer = large.ask("GET", "/livez")
        assert answer is not None and answer.status_code == 200


def test_many_rejected_heads_are_each_answered(service: Service) -> None:
    def ask(_: int) -> int | None:
        with Connection(service.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\nname: " + b"x" * 3 * MOST_HEAD_BYTES)
            answer = connection.read()
            return answer.status if answer else None

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(200))) == {431}


def test_a_long_path_is_cut_in_the_answer_and_in_the_log(service: Service, connection: Connection) -> None:
    answer = connection.ask(make_request("GET", "/" + "b" * 60_000))
    assert answer.status == 404 and answer.body.count(b"b") < 3 * PATH_CHARACTERS
    path = answer.problem("not-found")["instance"]
    assert len(path) == PATH_CHARACTERS + 3
    service.wait_until(lambda: path in [line.get("path") for line in service.lines()])
    assert "b" * (PATH_CHARACTERS + 1) not in service.log.read_text()


def test_a_half_closed_client_is_answered_and_closed(connection: Connection) -> None:
    connection.send(REQUEST)
    connection.socket.shutdown(socket.SHUT_WR)
    answer = connection.read()
    assert answer is not None and answer.status == 200
    assert connection.read_end() == b""


def has_all_places(service: Service) -> bool:
    """Return whether a request that needs all places gets them; it is invalid, so it gives them back at once."""
    body = json.dumps({"model": "imdb-500", "texts": [1] * PLACES}).encode()
    with Connection(service.port) as connection:
        status = connection.ask(make_request("POST", "/sentiment/batch", JSON, body=body)).status
    assert status in (422, 503)
    return status == 422


@pytest.mark.parametrize("is_half_closed", [True, False])
def test_a_client_that_leaves_gives_its_places_back(tmp_path: Path, is_half_closed: bool) -> None:
    texts = json.dumps({"model": "imdb-500", "texts": ["good " * 500] * PLACES}).encode()
    environment = {"LSTM_SERVE_MAX_BATCH": str(PLACES), "LSTM_SERVE_MAX_QUEUE": str(PLACES)}
    environment |= {"LSTM_SERVE_WORKERS": "1", "LSTM_SERVE_MAX_BODY_BYTES": str(2 * len(texts))}
    with run_service(MODELS, tmp_path / "log", **environment) as service:
        service.wait_until(lambda: service.ask("GET", "/readyz") is not None)
        with Connection(service.port) as connection:
            connection.send(make_request("POST", "/sentiment/batch", JSON, body=texts))
            service.wait_until(lambda: not has_all_places(service))
            taken_at = time.monotonic()
            service.wait_until(lambda: has_all_places(service))
            whole = time.monotonic() - taken_at
            assert connection.read() is not None
        with Connection(service.port) as connection:
            connection.send(make_request("POST", "/sentiment/batch", JSON, body=texts))
            service.wait_until(lambda: not has_all_places(service))
            if is_half_closed:
                connection.socket.shutdown(socket.SHUT_WR)
            else:
                connection.__exit__()
            left_at = time.monotonic()
            service.wait_until(lambda: has_all_places(service))
            back = time.monotonic() - left_at
        assert back < max(2 * HALF_CLOSED_SECONDS, whole / 2), f"{back:.2f} s of {whole:.2f} s"


def test_http_1_1_needs_one_host_and_http_1_0_none(service: Service) -> None:
    for hosts, version, status in (("", 1, 400), ("host: a\r\nhost: b\r\n", 1, 400), ("", 0, 200)):
        with Connection(service.port) as connection:
            answer = connection.ask(f"GET /livez HTTP/1.{version}\r\n{hosts}\r\n".encode())
            assert answer.status == status
            assert status == 200 or answer.problem("bad-request")


def test_a_client_that_expects_100_continue_gets_it_unless_its_body_is_too_large(
    service: Service, connection: Connection
) -> None:
    head = make_request("POST", "/sentiment", JSON, "expect: 100-continue", f"content-length: {len(GOOD)}")
    connection.send(head)
    assert connection.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.ask(GOOD).status == 200
    head = make_request("POST", "/sentiment", JSON, "expect: 100-continue", f"content-length: {MOST_BODY_BYTES + 1}")
    answer = connection.ask(head)
    assert answer.status == 413 and answer.closes and answer.problem("body-too-large")
    assert connection.read_end() == b""
    assert service.process.poll() is None


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("notjson", 415),
        ("text/plain", 415),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/vnd.x+json", 200),
    ],
)
def test_only_json_is_accepted(connection: Connection, media_type: str, status: int) -> None:
    answer = connection.ask(make_request("POST", "/sentiment", f"content-type: {media_type}", body=GOOD))
    assert answer.status == status
    assert connection.ask(LIVE).status == 200


def test_an_upgrade_to_http_2_is_ignored(connection: Connection) -> None:
    offer = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk", "Upgrade: h2c"]
    assert connection.ask(make_request("POST", "/sentiment", *offer, JSON, body=GOOD)).status == 200
    assert connection.ask(REQUEST).status == 200


def test_a_slow_body_is_rejected_at_its_deadline(connection: Connection) -> None:
    started = time.monotonic()
    answer = connection.ask(make_request("POST", "/sentiment", JSON, "x-deadline-ms: 300", "content-length: 9") + b"{")
    assert answer.status == 408 and answer.closes and answer.problem("body-timeout")
    assert 0.3 <= time.monotonic() - started < SOON
    assert connection.read_end() == b""


def test_a_connection_is_closed_after_many_requests(connection: Connection) -> None:
    sender = threading.Thread(target=connection.send, args=[LIVE * MOST_REQUESTS])
    sender.start()
    answers = [connection.read() for _ in range(MOST_REQUESTS)]
    sender.join()
    assert [answer.closes for answer in answers if answer] == [False] * (MOST_REQUESTS - 1) + [True]
    assert connection.read_end() == b""


def test_an_idle_connection_is_kept_for_its_time(tmp_path: Path) -> None:
    with start(tmp_path / "log", LSTM_SERVE_KEEP_ALIVE_S="1") as service, Connection(service.port) as connection:
        assert connection.ask(LIVE).status == 200
        started = time.monotonic()
        assert connection.read_end() == b""
        assert 0.9 < time.monotonic() - started < SOON


@pytest.mark.parametrize("limit", [100, 200])
def test_a_service_out_of_file_descriptors_logs_it_and_recovers(tmp_path: Path, limit: int) -> None:
    with start(tmp_path / "log") as service:
        for pid in service.workers():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        statuses: Counter[int | None] = Counter()
        with ExitStack() as stack:
            connections = [stack.enter_context(Connection(service.port, SOON)) for _ in range(600)]
            for connection in connections:
                connection.send(LIVE)
            for connection in connections:
                answer = connection.read()
                statuses[answer.status if answer else None] += 1
        lines = [line for line in service.lines() if line["level"] not in ("INFO", "DEBUG")]
        assert statuses[200] >= 2 * (limit - RESERVED_FILES) - 10 and statuses[503] > 100
        assert 1 <= len(lines) <= 10
        service.wait_until(lambda: all(ask_live(service) == 200 for _ in range(20)))
        assert len(service.workers()) == 2 and service.count("a worker is ready") == 2


def ask_live(service: Service) -> int | None:
    with Connection(service.port) as connection:
        connection.send(LIVE)
        answer = connection.read()
        return answer.status if answer else None


def test_many_clients_do_not_cost_a_worker(service: Service) -> None:
    async def connect_all() -> int:
        connections = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", service.port) for _ in range(1000)))
        for _, writer in connections:
            writer.write(LIVE)
        answers = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in connections))
        for _, writer in connections:
            writer.close()
        return sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)

    assert asyncio.run(connect_all()) == 1000
    assert service.count("a worker ended by SIGKILL") == 0
