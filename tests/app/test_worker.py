"""One process that answers, run in this one."""

import multiprocessing
import signal
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from app.server import Protocol
from app.worker import run
from tests.conftest import SECONDS


@pytest.fixture(autouse=True)
def ignored() -> Iterator[None]:
    """Ignore SIGTERM, which uvicorn sends once more when it has ended."""
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, handler)


def test_a_worker_reports_that_it_is_ready_and_ends_when_its_supervisor_is_gone() -> None:
    ours, theirs = multiprocessing.Pipe()
    config = uvicorn.Config("fastapi:FastAPI", factory=True, http=Protocol, log_config=None)
    reports: list[bool] = []

    def supervise() -> None:
        while True not in reports:
            reports.append(ours.recv())
        ours.close()

    supervising = threading.Thread(target=supervise)
    supervising.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        run(config, listener, SECONDS, theirs)
    supervising.join(SECONDS)
    assert reports[-1] and not any(reports[:-1])
