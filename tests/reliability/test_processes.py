"""Drills with the processes of a real service: one hangs, one is killed, all are asked to stop."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.supervisor import SILENT_SECONDS
from app.worker import LAME_DUCK_SECONDS
from bundle.store import Store
from tests.app.service import Service, run_service
from tests.conftest import SECONDS
from tests.reliability.clients import Outcome, ask_until

CLIENTS = 50
SURE_SECONDS = LAME_DUCK_SECONDS / 2  # what is sent within this time of SIGTERM is answered


@pytest.fixture
def models(small_store: Store, tmp_path: Path) -> Path:
    """A folder of one model."""
    folder = tmp_path / "models"
    shutil.copytree(small_store.root / "sentiment", folder / "sentiment")
    return folder


@pytest.fixture
def service(models: Path, tmp_path: Path) -> Iterator[Service]:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="2", LSTM_SERVE_DEADLINE_MS="5000") as service:
        service.wait_until(lambda: service.count("a worker is ready") == 2)
        yield service


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_hangs_is_replaced_within_seconds(service: Service) -> None:
    hanging, _ = service.workers()
    os.kill(hanging, signal.SIGSTOP)
    stopped_at = time.monotonic()
    service.wait_for("a worker is killed: it has not reported for 5 s")
    service.wait_until(lambda: not is_running(hanging) and service.count("a worker is ready") == 3)
    assert time.monotonic() - stopped_at < SILENT_SECONDS + SECONDS / 4
    response = service.ask("POST", "/sentiment", {"text": "good"})
    assert response is not None and response.status_code == 200


def test_another_worker_is_replaced_and_sigterm_is_heard_while_one_hangs(service: Service) -> None:
    hanging, other = service.workers()
    os.kill(hanging, signal.SIGSTOP)
    os.kill(other, signal.SIGKILL)
    service.wait_until(lambda: len(set(service.workers()) - {hanging, other}) > 0)
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("told by SIGTERM to end")


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


def test_a_worker_that_is_killed_is_told_and_replaced(service: Service) -> None:
    killed, _ = service.workers()
    os.kill(killed, signal.SIGKILL)
    service.wait_for("a worker ended by SIGKILL")
    service.wait_until(lambda: service.count_listeners() == 2 and killed not in service.workers())


def test_sighup_replaces_all_workers_and_no_request_is_lost(service: Service) -> None:
    before = service.workers()

    async def renew() -> list[Outcome]:
        end = asyncio.Event()
        asking = asyncio.create_task(ask_until(service.port, CLIENTS // 5, end))
        service.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(service.wait_until, lambda: not any(map(is_running, before)))
        end.set()
        return await asking

    outcomes = asyncio.run(renew())
    assert {outcome.status for outcome in outcomes} == {200}
    assert len(service.workers()) == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_no_request(models: Path, tmp_path: Path, workers: str) -> None:
    environment = {"LSTM_SERVE_WORKERS": workers, "LSTM_SERVE_DEADLINE_MS": "5000"}
    with run_service(models, tmp_path / "log", **environment) as service:
        service.wait_until(lambda: service.count_listeners() == int(workers))

        async def end() -> tuple[float, list[Outcome]]:
            asking = asyncio.create_task(ask_until(service.port, CLIENTS, asyncio.Event()))
            await asyncio.sleep(1)
            told_at = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            return told_at, await asking

        told_at, outcomes = asyncio.run(end())
    sure = [outcome for outcome in outcomes if outcome.sent_at < told_at + SURE_SECONDS]
    assert len(sure) > CLIENTS
    assert {outcome.status for outcome in sure} == {200}


def test_an_idle_service_is_unready_at_once_and_soon_ends(service: Service) -> None:
    told_at = time.monotonic()
    service.process.send_signal(signal.SIGTERM)

    def is_unready() -> bool:
        response = service.ask("GET", "/readyz")
        assert response is not None
        assert response.status_code == 200 or response.headers["connection"] == "close"
        return response.status_code == 503

    service.wait_until(is_unready)
    service.process.wait(SECONDS)
    assert time.monotonic() - told_at < 5  # about 1.5 s on a machine that does nothing else
