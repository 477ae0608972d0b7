"""The service behind nginx with the configuration of `deploy/nginx`, both as real processes."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.app.processes.commands import copy_model
from tests.app.service import Service, run_service
from tests.conftest import SECONDS
from tests.deploy.nginx import CONFIGURATION, MISSING, PREFIX, Proxy, run_proxy
from tests.reliability.test_processes import is_running
from tests.tools import need

pytestmark = need(not MISSING, f"{MISSING} are not installed; apt-get install nginx-light openssl")

CLIENTS = 8
QUESTION = {"sequence": "XYZ"}
HEADERS = {"content-type": "application/json"}
FORWARDED = "203.0.113.7"
DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one small model."""
    return copy_model(tmp_path_factory.mktemp("models"))


@contextmanager
def run(models: Path, log: Path, **environment: str) -> Iterator[Service]:
    """Run a service as the configuration expects it, with two processes."""
    settings = {
        "LSTM_SERVE_ROOT_PATH": PREFIX,
        "LSTM_SERVE_WORKERS": "2",
        "LSTM_SERVE_TRUSTED_PROXIES": "127.0.0.1",
        "LSTM_SERVE_DEADLINE_MS": str(DEFAULTS["deadline_ms"]),
    }
    with run_service(models, log, **settings | environment) as service:
        service.wait_for("the service is ready")
        yield service


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run(models, tmp_path_factory.mktemp("log") / "service") as service:
        yield service


@pytest.fixture(scope="module")
def proxy(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with run_proxy(tmp_path_factory.mktemp("proxy") / "nginx", [f"127.0.0.1:{service.port}"]) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with proxy.connect() as client:
        yield client


def find_line(lines: Callable[[], list[dict[str, Any]]], request_id: str) -> dict[str, Any]:
    """Return the line of a request in a log."""
    (line,) = (line for line in lines() if line.get("request_id") == request_id)
    return line


def read_log(proxy: Proxy) -> list[dict[str, Any]]:
    """Return what the proxy has logged."""
    text = (proxy.folder / "lstm-serve.log").read_text().rpartition("\n")[0]
    return [json.loads(line) for line in text.splitlines()]


def test_a_prediction_comes_through_with_its_id_and_the_address_of_its_client(
    service: Service, proxy: Proxy, client: httpx.Client
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        "x-forwarded-for": FORWARDED,  # which the client has made up
        "x-request-id": "from-the-client",
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
    }
    response = client.post("/next-letter", json=QUESTION, headers=headers)
    assert response.json()["next_letter"] == "A"
    assert response.headers["x-request-id"] == "from-the-client"
    service.wait_until(lambda: any(line.get("request_id") == "from-the-client" for line in service.lines()))
    line = find_line(service.lines, "from-the-client")
    assert line["client"] == "127.0.0.1" and line["trace_id"] == trace and line["path"] == f"{PREFIX}/next-letter"
    service.wait_until(lambda: any(line["request_id"] == "from-the-client" for line in read_log(proxy)))
    assert find_line(lambda: read_log(proxy), "from-the-client")["status"] == 200


def test_the_service_takes_the_address_from_the_proxy(service: Service, proxy: Proxy) -> None:
    with (
        httpx.HTTPTransport(verify=proxy.trust(), local_address="127.0.0.9") as transport,
        httpx.Client(transport=transport, base_url=f"https://127.0.0.1:{proxy.port}{PREFIX}") as client,
    ):
        client.get("/models", headers={"x-request-id": "of-another"})
        service.wait_until(lambda: any(line.get("request_id") == "of-another" for line in service.lines()))
    assert find_line(service.lines, "of-another")["client"] == "127.0.0.9"


def test_the_documentation_works_below_the_prefix(proxy: Proxy, client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    linked = re.findall(r"""(?:href=|src=|url: )['"](/[^'"]+)['"]""", page.text)
    assert f"{PREFIX}/openapi.json" in linked and len(linked) > 3
    with httpx.Client(base_url=f"https://localhost:{proxy.port}", verify=proxy.trust()) as outside:
        assert {outside.get(path).status_code for path in linked} == {200}
        assert outside.get(PREFIX).headers["location"].endswith(f"{PREFIX}/")
        assert outside.get("/openapi.json").status_code == 404
    assert client.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]


def test_plain_http_is_sent_to_https_with_its_method(proxy: Proxy) -> None:
    response = httpx.post(f"http://localhost:{proxy.plain_port}{PREFIX}/next-letter", json=QUESTION)
    assert response.status_code == 308
    assert response.headers["location"] == f"https://localhost{PREFIX}/next-letter"


def make_body(size: int) -> bytes:
    """Return a valid body of a size."""
    return json.dumps(QUESTION).encode().ljust(size)


def test_a_body_up_to_the_limit_comes_through_and_each_side_has_its_answer_past_it(client: httpx.Client) -> None:
    most = DEFAULTS["max_body_bytes"]
    allowed = client.post("/next-letter", content=make_body(most), headers=HEADERS)
    assert allowed.status_code == 200
    of_the_service = client.post("/next-letter", content=make_body(most + 1), headers=HEADERS)
    assert of_the_service.status_code == 413 and of_the_service.json()["type"].endswith(":body-too-large")
    of_the_proxy = client.post("/next-letter", content=make_body(6 << 20), headers=HEADERS)
    assert of_the_proxy.status_code == 413 and of_the_proxy.headers["content-type"] == "application/problem+json"
    assert "limit of the proxy" in of_the_proxy.json()["detail"]


class SlowClient:
    """A client that has sent the head of a request and half of its body."""

    def __init__(self, proxy: Proxy) -> None:
        connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=SECONDS)
        self.connection = proxy.trust().wrap_socket(connection, server_hostname="localhost")
        self.body = json.dumps(QUESTION).encode()
        head = f"POST {PREFIX}/next-letter HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.connection.sendall(f"{head}x-request-id: slow\r\ncontent-length: {len(self.body)}\r\n\r\n".encode())
        self.connection.sendall(self.body[:9])

    def read_status(self) -> int:
        """Return the status of the answer."""
        return int(self.connection.recv(1 << 16).split()[1])


def test_the_service_does_not_wait_for_a_slow_client(service: Service, proxy: Proxy, client: httpx.Client) -> None:
    slow = SlowClient(proxy)
    with slow.connection:
        for _ in range(100):
            assert client.post("/next-letter", json=QUESTION).status_code == 200
        slow.connection.sendall(slow.body[9:])
        assert slow.read_status() == 200
    service.wait_until(lambda: any(line.get("request_id") == "slow" for line in service.lines()))
    asked = [line for line in service.lines() if line.get("path") == f"{PREFIX}/next-letter"]
    answered_at = [datetime.fromisoformat(line["time"]) for line in asked]
    assert asked[-1]["request_id"] == "slow"
    # It began when the whole body was there.
    began_at = answered_at[-1] - timedelta(milliseconds=asked[-1]["milliseconds"])
    assert began_at > answered_at[-2] - timedelta(milliseconds=1)


def test_a_client_that_stops_sending_is_closed(service: Service, tmp_path: Path) -> None:
    changes = {"client_body_timeout 10s": "client_body_timeout 1s"}
    with run_proxy(tmp_path / "nginx", [f"127.0.0.1:{service.port}"], changes) as proxy:
        slow = SlowClient(proxy)
        with slow.connection:
            assert slow.connection.recv(1 << 16) == b"" or slow.read_status() == 408


def test_connections_to_the_service_stay_open(service: Service, client: httpx.Client) -> None:
    for _ in range(50):
        assert client.get("/livez").status_code == 200
    opened = {os.readlink(file) for pid in service.workers() for file in Path(f"/proc/{pid}/fd").iterdir()}
    assert sum(name.startswith("socket:") for name in opened) < 30


def test_without_a_service_the_answer_is_a_problem(tmp_path: Path) -> None:
    with run_proxy(tmp_path / "nginx", [f"127.0.0.1:{find_free_port()}"]) as proxy, proxy.connect() as client:
        response = client.post("/next-letter", json=QUESTION)
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 503


def test_a_refusal_of_the_service_comes_through_with_its_headers(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with (
        run_service(tmp_path / "none", tmp_path / "log", LSTM_SERVE_ROOT_PATH=PREFIX) as service,
        run_proxy(tmp_path / "nginx", [f"127.0.0.1:{service.port}"]) as proxy,
        proxy.connect() as client,
    ):
        service.wait_until(lambda: service.count_listeners() > 0)
        response = client.get("/readyz")
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert response.json()["type"].endswith(":not-ready") and "x-request-id" in response.headers


def test_it_works_over_a_unix_socket(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    environment = {"LSTM_SERVE_SOCKET": str(path), "LSTM_SERVE_TRUSTED_PROXIES": "unix"}
    with (
        run(models, tmp_path / "log", **environment) as service,
        run_proxy(tmp_path / "nginx", [f"unix:{path}"]) as proxy,
        proxy.connect() as client,
    ):
        response = client.post("/next-letter", json=QUESTION)
        assert response.json()["next_letter"] == "A"
        request_id = response.headers["x-request-id"]
        service.wait_until(lambda: any(line.get("request_id") == request_id for line in service.lines()))
        assert find_line(service.lines, request_id)["client"] == "127.0.0.1"


class Load:
    """Clients that ask without a pause until the test ends them."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._ended = threading.Event()
        self.answers: list[int] = []

    def _ask(self) -> None:
        with self._proxy.connect() as client:
            while not self._ended.is_set():
                self.answers.append(client.post("/next-letter", json=QUESTION).status_code)

    @contextmanager
    def run(self) -> Iterator[None]:
        """Ask while the block runs."""
        with ThreadPoolExecutor(CLIENTS) as threads:
            asking = [threads.submit(self._ask) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                self._ended.set()
            for each in asking:
                each.result()


def test_a_reload_loses_no_request(models: Path, tmp_path: Path) -> None:
    with (
        run(models, tmp_path / "log") as service,
        run_proxy(tmp_path / "nginx", [f"127.0.0.1:{service.port}"]) as proxy,
    ):
        before = service.workers()
        load = Load(proxy)
        with load.run():
            service.process.send_signal(signal.SIGHUP)
            service.wait_until(lambda: not any(map(is_running, before)))
    assert len(load.answers) > 100 and set(load.answers) == {200}


def test_a_restart_of_one_of_two_services_loses_no_request(models: Path, tmp_path: Path) -> None:
    ports = [find_free_port(), find_free_port()]
    with ExitStack() as running:
        first, _ = (
            running.enter_context(run(models, tmp_path / f"log-{port}", LSTM_SERVE_PORT=str(port))) for port in ports
        )
        proxy = running.enter_context(run_proxy(tmp_path / "nginx", [f"127.0.0.1:{port}" for port in ports]))
        load = Load(proxy)
        running.enter_context(load.run())
        first.process.send_signal(signal.SIGTERM)
        first.process.wait(SECONDS)
        asked = len(load.answers)
        with run(models, tmp_path / "log-again", LSTM_SERVE_PORT=str(ports[0])) as again:
            again.wait_until(lambda: any(line["message"] == "answered" for line in again.lines()))
    assert len(load.answers) > asked > 100 and set(load.answers) == {200}


def test_its_limits_fit_those_of_the_service() -> None:
    limits = dict(re.findall(r"^ +(\w+) (\d+)[sm]?;$", CONFIGURATION, re.MULTILINE))
    assert int(limits["client_max_body_size"]) << 20 > DEFAULTS["max_body_bytes"]
    assert int(limits["proxy_read_timeout"]) > DEFAULTS["deadline_ms"] / 1000
    assert int(limits["keepalive_timeout"]) < DEFAULTS["keep_alive_s"]
