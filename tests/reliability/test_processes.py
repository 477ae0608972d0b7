"""Failures of the processes of a real service: one hangs, one is killed, all are asked to stop."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from app.http.protocol import MOST_REQUESTS
from app.processes.supervisor import SILENT_SECONDS
from app.processes.worker import LAME_DUCK_SECONDS
from benchmarks.clients import Outcome, ask, ask_until
from benchmarks.servers import find_free_port
from tests.app.service import ROOT, Service, run_service
from tests.conftest import SECONDS
from tests.reliability.clients import LIVE, Connection

CLIENTS = 50
IDLE_SECONDS = 2  # from SIGTERM to the end; 1.4 on a machine that does nothing else
MORE_SECONDS = 3  # of a machine that is busy
SURE_SECONDS = LAME_DUCK_SECONDS / 2  # a request within this time of SIGTERM has an answer


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of one model."""
    folder = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "sentiment", folder / "sentiment")
    return folder


@pytest.fixture
def service(models: Path, tmp_path: Path) -> Iterator[Service]:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="2", LSTM_SERVE_DEADLINE_MS="5000") as service:
        service.wait_for("the service is ready")
        yield service


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers_soon(service: Service) -> bool:
    """Return whether a request on a new connection has an answer within a moment."""
    try:
        return httpx.get(f"{service.url}/livez", timeout=0.2).status_code == 200
    except httpx.TransportError:
        return False


def test_a_worker_that_hangs_is_replaced_within_seconds_while_the_other_answers(service: Service) -> None:
    hanging, other = service.workers()
    os.kill(hanging, signal.SIGSTOP)
    stopped_at = time.monotonic()
    answers = 0

    def is_gone() -> bool:
        nonlocal answers
        answers += answers_soon(service)  # Linux gives the hanging worker half of the connections
        return not is_running(hanging)

    service.wait_until(is_gone)
    assert time.monotonic() - stopped_at < SILENT_SECONDS + MORE_SECONDS
    assert answers > 0
    assert service.count("a worker is killed: it has not reported for 5 s") == 1
    service.wait_until(lambda: service.count("the service is ready") == 2)
    assert other in service.workers()


def test_another_worker_is_replaced_and_sigterm_is_obeyed_while_one_hangs(service: Service) -> None:
    hanging, other = service.workers()
    os.kill(hanging, signal.SIGSTOP)
    os.kill(other, signal.SIGKILL)
    service.wait_until(lambda: len(set(service.workers()) - {hanging, other}) > 0)
    sent_at = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("received SIGTERM: shutting down")
    assert time.monotonic() - sent_at < MORE_SECONDS


def test_a_pause_of_the_whole_service_costs_no_worker(service: Service) -> None:
    everybody = [service.process.pid, *service.workers()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SILENT_SECONDS + 1)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert service.workers() == everybody[1:]


def test_workers_end_with_their_supervisor_and_leave_the_port(service: Service) -> None:
    workers = service.workers()
    os.kill(service.process.pid, signal.SIGKILL)
    end = time.monotonic() + SECONDS
    while any(map(is_running, workers)):
        assert time.monotonic() < end
        time.sleep(0.05)
    with socket.create_server(("127.0.0.1", service.port)):
        pass


def test_a_killed_worker_is_logged_and_replaced(service: Service) -> None:
    killed, _ = service.workers()
    os.kill(killed, signal.SIGKILL)
    service.wait_for("a worker ended by SIGKILL")
    service.wait_until(lambda: service.count_listeners() == 2 and killed not in service.workers())


def test_the_only_worker_is_replaced_when_it_hangs(models: Path, tmp_path: Path) -> None:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="1") as service:
        service.wait_for("the service is ready")
        (hanging,) = service.workers()
        os.kill(hanging, signal.SIGSTOP)
        service.wait_until(lambda: service.count("the service is ready") == 2)
        assert not is_running(hanging)
        assert answers_soon(service)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_replaces_all_workers_and_no_request_is_lost(models: Path, tmp_path: Path, workers: str) -> None:
    environment = {"LSTM_SERVE_WORKERS": workers, "LSTM_SERVE_DEADLINE_MS": "5000"}
    with run_service(models, tmp_path / "log", **environment) as service:
        service.wait_for("the service is ready")
        before = service.workers()

        async def reload() -> list[Outcome]:
            end = asyncio.Event()
            asking = asyncio.create_task(ask_until(service.port, CLIENTS, end))
            service.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(service.wait_until, lambda: not any(map(is_running, before)))
            end.set()
            return await asking

        outcomes = asyncio.run(reload())
        assert len(outcomes) > CLIENTS
        assert {outcome.status for outcome in outcomes} == {200}
        assert len(service.workers()) == int(workers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_no_request(models: Path, tmp_path: Path, workers: str) -> None:
    environment = {"LSTM_SERVE_WORKERS": workers, "LSTM_SERVE_DEADLINE_MS": "5000"}
    with run_service(models, tmp_path / "log", **environment) as service:
        service.wait_until(lambda: service.count_listeners() == int(workers))

        async def end() -> tuple[float, list[Outcome]]:
            asking = asyncio.create_task(ask_until(service.port, CLIENTS, asyncio.Event()))
            await asyncio.sleep(1)
            stopped_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            return stopped_at, await asking

        stopped_at, outcomes = asyncio.run(end())
    sure = [outcome for outcome in outcomes if outcome.sent_at < stopped_at + SURE_SECONDS]
    assert len(sure) > CLIENTS
    assert {outcome.status for outcome in sure} == {200}


def test_an_idle_service_is_unready_at_once(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)

    def is_unready() -> bool:
        response = service.ask("GET", "/readyz")
        assert response is not None
        assert response.status_code == 200 or response.headers["connection"] == "close"
        return response.status_code == 503

    service.wait_until(is_unready)


def test_an_idle_service_with_open_connections_ends_within_two_seconds(service: Service) -> None:
    with ExitStack() as connections:
        for _ in range(CLIENTS):
            connection = connections.enter_context(Connection(service.port))
            assert connection.ask(LIVE).status == 200
        stopped_at = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(SECONDS)
    assert time.monotonic() - stopped_at < IDLE_SECONDS


def count_connections(pid: int) -> int:
    """Return how many sockets a process has open."""
    return sum(os.readlink(file).startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir())


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def ask_often(port: int, streams: Streams, requests: int) -> Streams:
    """Send a number of requests, each after the answer to the one before; return the connection that is open then."""
    for _ in range(requests):
        status, is_kept = await ask(*streams, LIVE)
        assert status == 200
        if not is_kept:
            streams[1].close()
            streams = await asyncio.open_connection("127.0.0.1", port)
    return streams


def test_a_new_worker_gets_its_share_of_the_connections_that_were_open_before(service: Service) -> None:
    killed, other = service.workers()
    os.kill(killed, signal.SIGKILL)
    service.wait_until(lambda: service.count_listeners() == 1)
    idle = count_connections(other)

    async def ask_all() -> tuple[list[int], list[int]]:
        opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(CLIENTS)]
        await asyncio.to_thread(service.wait_until, lambda: service.count("the service is ready") == 2)
        before = [count_connections(pid) - idle for pid in service.workers()]
        opened = await asyncio.gather(*(ask_often(service.port, streams, MOST_REQUESTS + 1) for streams in opened))
        after = [count_connections(pid) - idle for pid in service.workers()]
        for _, writer in opened:
            writer.close()
        return before, after

    before, after = asyncio.run(ask_all())
    assert before == [CLIENTS, 0]
    assert min(after) > CLIENTS / 6, after


def test_sigint_to_a_worker_does_nothing(service: Service) -> None:
    before = service.workers()
    for pid in before:
        os.kill(pid, signal.SIGINT)
    for _ in range(10):
        response = service.ask("GET", "/readyz")
        assert response is not None and response.status_code == 200
    assert service.workers() == before


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_that_nobody_reads_stops_nothing(models: Path, workers: str) -> None:
    port = find_free_port()
    settings = {"LSTM_SERVE_MODELS": str(models), "LSTM_SERVE_PORT": str(port), "LSTM_SERVE_WORKERS": workers}
    command = [sys.executable, "-m", "app"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"the service is ready" not in process.stderr.readline():
            pass
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            for _ in range(1000):  # lines of 300 bytes; the pipe holds 64 KiB
                assert client.get("/models").status_code == 200
        process.terminate()
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
def test_closed_standard_files_do_no_harm(models: Path, closed: list[int]) -> None:
    port = find_free_port()
    settings = {"LSTM_SERVE_MODELS": str(models), "LSTM_SERVE_PORT": str(port), "LSTM_SERVE_WORKERS": "2"}
    close = " ".join(f"{descriptor}>&-" for descriptor in closed)
    command = ["sh", "-c", f"exec {sys.executable} -m app {close}"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | settings) as process:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            time.sleep(0.1)
        process.terminate()
        assert process.wait(SECONDS) == 0
