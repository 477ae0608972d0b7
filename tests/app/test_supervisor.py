"""The processes of one port: as objects of this process, and as a real service of two."""

import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn

from app.supervisor import Supervisor
from bundle.store import Store
from tests.app.service import Service, run_service
from tests.conftest import BAD, GOOD, SECONDS


@pytest.fixture
def supervised(memory: Path) -> Iterator[Supervisor]:
    """The supervisor of one process that answers nothing, in a container where one was killed before."""
    del memory
    handlers = {number: signal.getsignal(number) for number in signal.Signals}
    config = uvicorn.Config("fastapi:FastAPI", factory=True, log_config=None, timeout_worker_healthcheck=SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        supervised = Supervisor(config, [listener])
        supervised.init_processes()
        yield supervised
        supervised.terminate_all()
        supervised.join_all()
    for number, handler in handlers.items():
        if handler != signal.getsignal(number):
            signal.signal(number, handler)


def test_a_process_that_is_gone_is_started_again_at_once(supervised: Supervisor) -> None:
    (killed,) = supervised.processes
    assert killed.is_alive(SECONDS)
    assert killed.pid
    os.kill(killed.pid, signal.SIGSTOP)  # it answers no ping any more, as in the middle of an import
    while " T " not in Path("/proc", str(killed.pid), "stat").read_text():
        time.sleep(0.001)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(killed.pid or 0, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    started = time.monotonic()
    supervised.keep_subprocess_alive()
    assert time.monotonic() - started < SECONDS / 2
    (again,) = supervised.processes
    assert again is not killed
    assert again.is_alive(SECONDS)


def test_it_says_once_that_memory_ran_out(
    supervised: Supervisor, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "app"):
        supervised.keep_subprocess_alive()
        assert not caplog.messages
        (memory / "events").write_text("under_oom 0\noom_kill 2\n")
        supervised.keep_subprocess_alive()
        supervised.keep_subprocess_alive()
    (message,) = caplog.messages
    assert "memory ran out" in message and "300 MiB" in message and "LSTM_SERVE_WORKERS" in message


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of one model, so that every process logs once that it has loaded one."""
    store = Store(tmp_path / "models")
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment")
    return store


def ask_until_two_listen(service: Service, loaded: int) -> set[int]:
    """Ask until so many processes have loaded their models and two listen; return the statuses, 0 for no answer."""
    statuses: set[int] = set()

    def ask() -> None:
        response = service.ask("POST", "/sentiment", {"text": "good"})
        statuses.add(response.status_code if response is not None else 0)

    def are_listening() -> bool:
        ask()
        return service.count("loaded") >= loaded and service.count_listeners() == 2

    service.wait_until(are_listening)
    for _ in range(200):
        ask()
    return statuses


def find_a_child(service: Service) -> int:
    """Return the number of a process that answers."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return next(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())


def test_two_processes_answer_on_one_port_and_never_before_they_are_ready(store: Store, tmp_path: Path) -> None:
    with run_service(store.root, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        assert service.count("loaded") >= 1
        assert ask_until_two_listen(service, loaded=2) == {200}
        os.kill(find_a_child(service), signal.SIGKILL)
        assert ask_until_two_listen(service, loaded=3) <= {200, 0}  # none only of who was killed
        assert ask_until_two_listen(service, loaded=3) == {200}


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_two_processes_give_the_same_answers_to_the_byte_alone_and_in_any_batch(
    store: Store, tmp_path: Path, engine: str
) -> None:
    texts = [" ".join((GOOD + BAD)[number % 10 :][: number % 7]) + " film" * (number % 45) for number in range(40)]
    settings = {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_ENGINE": engine}
    with run_service(store.root, tmp_path / "log", **settings) as service:
        service.wait_until(lambda: service.count_listeners() == 2)

        def ask(text: str) -> bytes:
            response = service.ask("POST", "/sentiment", {"text": text})
            assert response is not None
            return response.content

        with ThreadPoolExecutor(16) as threads:  # so that requests meet in batches
            answers = list(threads.map(ask, texts * 4))
        batch = service.ask("POST", "/sentiment/batch", {"texts": texts})
    assert answers == answers[:40] * 4
    assert batch is not None
    assert batch.content == b'{"answers":[' + b",".join(answers[:40]) + b"]}"


@pytest.mark.parametrize("message", ["listening", "loaded"])
def test_a_service_that_is_told_to_end_before_it_is_ready_ends(
    small_store: Store, tmp_path: Path, message: str
) -> None:
    with run_service(small_store.root, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_for(message)
    assert service.ask("GET", "/livez") is None
