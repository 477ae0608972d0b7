"""A worker, run in this process."""

import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.processes import worker
from app.processes.sockets import hold
from app.processes.supervisor import HELD_SIGNALS, State
from app.processes.worker import LAME_DUCK_SECONDS, Server, make_app, run
from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.app.processes.workers import make_config
from tests.conftest import SECONDS

GRACE_SECONDS = 1e6

pytestmark = pytest.mark.usefixtures("handlers")


@pytest.fixture(autouse=True)
def ignored() -> Iterator[None]:
    """Ignore SIGTERM, which uvicorn raises once more when it has ended; and unblock the signals that a worker holds."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def read_until_it_answers(supervisor: Connection) -> list[State]:
    """Return the reports up to the first one of a worker that answers."""
    reports = [State.STARTING]
    while reports[-1] is State.STARTING:
        reports.append(supervisor.recv())
    return reports


def work(supervise: Callable[[Connection, str], None], is_ready: bool = True) -> None:
    """Run a worker until its supervisor, in a thread, has closed the connection; it also gets the URL."""
    ours, theirs = multiprocessing.Pipe()
    port = find_free_port()
    errors: list[BaseException] = []

    def run_supervisor() -> None:
        try:
            supervise(ours, f"http://127.0.0.1:{port}")
        except BaseException as error:
            errors.append(error)
        ours.close()

    supervising = threading.Thread(target=run_supervisor)
    supervising.start()
    with hold(Settings(port=port)) as address:
        # Its thread ends this process after the grace period: not before all other tests.
        run(make_config(is_ready), GRACE_SECONDS, address.open(), theirs)
    supervising.join(SECONDS)
    if errors:
        raise errors[0]


def test_the_app_has_the_settings_of_the_service(empty_models: Path) -> None:
    settings = Settings(models=empty_models)
    app = make_app(settings, None)
    assert isinstance(app, FastAPI)
    assert app.state.settings is settings


def test_a_server_is_starting_until_it_listens_and_may_take_long_for_it() -> None:
    server = Server(make_config(), 0)
    assert server.state is State.STARTING
    assert server.has_run()


@pytest.mark.parametrize("state", [State.READY, State.UNREADY])
def test_a_worker_reports_its_state_and_ends_when_its_supervisor_is_gone(state: State) -> None:
    def supervise(worker: Connection, url: str) -> None:
        assert set(read_until_it_answers(worker)) == {State.STARTING, state}
        assert httpx.get(f"{url}/openapi.json").status_code == 200

    work(supervise, is_ready=state is State.READY)
    assert [signal.getsignal(number) for number in HELD_SIGNALS] == [signal.SIG_IGN, signal.SIG_IGN]


def test_a_worker_reports_nothing_while_its_event_loop_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "REPORT_SECONDS", 0.2)  # at least the time between two ticks

    def supervise(worker: Connection, url: str) -> None:
        read_until_it_answers(worker)
        assert httpx.get(f"{url}/block", params={"seconds": 3}).status_code == 200
        reports = 0
        while worker.poll():
            reports += worker.recv() is State.READY
        assert reports < 5  # of 15: one or two before the loop counts as hanging, and one after it
        assert worker.poll(SECONDS)

    work(supervise)


def test_a_connection_that_was_made_while_a_worker_ends_gets_its_first_answer() -> None:
    answers: list[bytes] = []
    silent: list[socket.socket] = []  # sends nothing, and does not hold the worker up for long
    late: list[threading.Thread] = []

    def ask_late(port: int) -> None:
        time.sleep(LAME_DUCK_SECONDS / 2)
        silent.append(socket.create_connection(("127.0.0.1", port), SECONDS))
        with socket.create_connection(("127.0.0.1", port), SECONDS) as slow:
            time.sleep(0.6 * LAME_DUCK_SECONDS)  # the worker accepts no connections any more
            slow.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answers.append(slow.recv(100))

    def supervise(worker: Connection, url: str) -> None:
        read_until_it_answers(worker)
        late.append(threading.Thread(target=ask_late, args=[int(url.rpartition(":")[2])]))
        late[0].start()

    begun = time.monotonic()
    work(supervise)
    late[0].join(SECONDS)
    silent[0].close()
    assert answers[0].startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - begun < SECONDS / 2
