"""The command, in this process and as one of its own."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.__main__ import main
from benchmarks.servers import find_free_port
from tests.conftest import SECONDS


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put back what the command changes in its process."""
    handlers = {number: signal.getsignal(number) for number in signal.Signals}
    loggers = {name: list(logging.getLogger(name).handlers) for name in ("app", "uvicorn", "uvicorn.access")}
    yield
    for number, handler in handlers.items():
        if handler != signal.getsignal(number):
            signal.signal(number, handler)
    for name, those in loggers.items():
        logging.getLogger(name).handlers = those


@pytest.fixture
def port(empty_models: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port that the service is set to, with no models."""
    free = find_free_port()
    monkeypatch.setenv("LSTM_SERVE_PORT", str(free))
    monkeypatch.setenv("LSTM_SERVE_MODELS", str(empty_models))
    return free


def _end_when_alive(port: int, statuses: list[int]) -> None:
    """Send SIGTERM to this process once a service in it, or below it, answers."""
    end = time.monotonic() + SECONDS
    while not statuses and time.monotonic() < end:
        try:
            statuses.append(httpx.get(f"http://127.0.0.1:{port}/livez").status_code)
        except httpx.TransportError:
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_serves_until_it_is_told_to_end(port: int, workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_WORKERS", workers)
    statuses: list[int] = []
    ending = threading.Thread(target=_end_when_alive, args=[port, statuses])
    ending.start()
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
    ending.join(SECONDS)
    assert statuses == [200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/livez")


def test_a_setting_that_is_wrong_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_WORKERS", "none")
    with pytest.raises(SystemExit, match="^error: LSTM_SERVE_WORKERS=none: "):
        main()


def test_a_process_that_only_starts_others_imports_neither_fastapi_nor_what_runs_networks() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app"],
        env=os.environ | {"LSTM_SERVE_WORKERS": "none"},  # which is found out when all is imported
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert {"uvicorn", "app.supervisor"} <= imported
    assert not imported & {"fastapi", "starlette", "numpy", "onnxruntime", "tensorflow"}


def test_a_port_that_somebody_listens_on_is_told_in_a_line(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        ended = subprocess.run([sys.executable, "-m", "app"], capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"error: cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "set LSTM_SERVE_HOST and LSTM_SERVE_PORT to what is free\n"
    )
