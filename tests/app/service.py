"""The service as processes of its own: `python -m app`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.servers import find_free_port, find_workers
from tests.conftest import SECONDS

ROOT = Path(__file__).parent.parent.parent
LISTENING = "0A"  # in /proc/net/tcp


@dataclass(frozen=True)
class Service:
    """A service that was started; it listens once its models are loaded."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """Return the numbers of the processes that answer, the oldest first."""
        return find_workers(self.process.pid)

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged: every line is JSON."""
        return [json.loads(line) for line in self.log.read_text().rpartition("\n")[0].splitlines()]

    def count(self, message: str) -> int:
        """Return how often it has logged a message, all processes together."""
        return [line["message"] for line in self.lines()].count(message)

    def count_listeners(self) -> int:
        """Return how many of its processes accept connections, by what Linux knows of its port."""
        port = f":{self.port:04X}"
        sockets = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return sum(address.endswith(port) and state == LISTENING for _, address, _, state, *_ in sockets)

    def wait_for(self, message: str) -> None:
        """Wait until it has logged a message."""
        self.wait_until(lambda: self.count(message) > 0)

    def wait_until(self, is_done: Callable[[], bool]) -> None:
        """Wait for something that is asked again and again."""
        end = time.monotonic() + SECONDS
        while not is_done():
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)  # who loads needs the processor

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response | None:
        """Return the answer to a request over a connection of its own; None if there is none."""
        try:
            # Without certificates, which would cost more than all the rest each time.
            return httpx.request(method, self.url + path, json=body, verify=False, timeout=SECONDS)
        except httpx.TransportError:
            return None


@contextmanager
def run_service(models: Path, log: Path, *options: str, **environment: str) -> Iterator[Service]:
    """Start a service of a folder of models, and end it as Docker does: it has to end well.

    Args:
        models: the folder of the bundles.
        log: the file that it logs to.
        options: of Python.
        environment: variables besides those of this process.
    """
    port = find_free_port()
    settings = {"LSTM_SERVE_MODELS": str(models), "LSTM_SERVE_PORT": str(port), "LSTM_SERVE_DEADLINE_MS": "60000"}
    command = [sys.executable, *options, "-m", "app"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings | environment, stderr=stderr)
        try:
            yield Service(process, f"http://127.0.0.1:{port}", log)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(SECONDS)
            assert status in (0, -signal.SIGKILL), log.read_text()  # which a test may have sent
