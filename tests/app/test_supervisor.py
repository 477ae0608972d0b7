import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from app.supervisor import Supervisor
from tests.conftest import SECONDS


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
