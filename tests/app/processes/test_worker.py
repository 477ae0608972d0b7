"""A worker and the only server of a service, run in this process."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.processes.sockets import hold
from app.processes.supervisor import HELD_SIGNALS, State
from app.processes.worker import OnlyServer, Server, run
from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.conftest import SECONDS

pytestmark = pytest.mark.usefixtures("handlers")


@pytest.fixture(autouse=True)
def ignored() -> Iterator[None]:
    """Ignore SIGTERM, which uvicorn raises once more when it has ended; and unblock the signals that a worker holds."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def make_app(is_ready: bool) -> FastAPI:
    """Return an app that is ready or not."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Callable[[], bool]]]:
        yield {"is_ready": lambda: is_ready}

    return FastAPI(lifespan=lifespan)


def make_config(is_ready: bool) -> uvicorn.Config:
    return uvicorn.Config(
        partial(make_app, is_ready), factory=True, http="app.http.protocol:Protocol", ws="none", log_config=None
    )


def test_a_server_is_starting_until_it_listens() -> None:
    assert Server(make_config(is_ready=True)).state is State.STARTING


@pytest.mark.parametrize("state", [State.READY, State.UNREADY])
def test_a_worker_reports_its_state_and_ends_when_its_supervisor_is_gone(state: State) -> None:
    ours, theirs = multiprocessing.Pipe()
    port = find_free_port()
    reports: list[State] = []
    statuses: list[int] = []

    def supervise() -> None:
        while not reports or reports[-1] is State.STARTING:
            reports.append(ours.recv())
        statuses.append(httpx.get(f"http://127.0.0.1:{port}/openapi.json").status_code)
        ours.close()

    supervising = threading.Thread(target=supervise)
    supervising.start()
    with hold(Settings(port=port)) as address:
        run(make_config(state is State.READY), address, SECONDS, theirs)
    supervising.join(SECONDS)
    assert statuses == [200]
    assert reports[-1] is state and set(reports[:-1]) <= {State.STARTING}
    assert [signal.getsignal(number) for number in HELD_SIGNALS] == [signal.SIG_IGN, signal.SIG_IGN]


@pytest.mark.parametrize(
    ("is_ready", "message"),
    [
        (True, "the service is ready"),
        (False, "the service answers, but it is not ready; the lines above have the reason"),
    ],
)
def test_the_only_server_logs_its_state(count: Callable[[str], int], is_ready: bool, message: str) -> None:
    removed: list[bool] = []

    def stop() -> None:
        end = time.monotonic() + SECONDS
        while not count("the service") and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop)
    stopping.start()
    with hold(Settings(port=find_free_port())) as address:
        OnlyServer(make_config(is_ready), lambda: removed.append(True)).run([address.open()])
    stopping.join(SECONDS)
    assert count(message) == 1
    assert not removed  # it ended as it should, so its owner removes the file
