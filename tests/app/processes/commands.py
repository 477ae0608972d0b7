"""The service as a real process, with options on its command line."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.app.service import ROOT, Service
from tests.conftest import SECONDS

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.upper().startswith("LSTM_SERVE_")}


def make_command(*options: object) -> list[str]:
    """Return the command with options."""
    return [sys.executable, "-m", "app", *map(str, options)]


@contextmanager
def run_command(log: Path, *options: object, url: str = "http://service", **environment: str) -> Iterator[Service]:
    """Run the command in a process group of its own, and end it with SIGTERM: its status must be 0."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            make_command(*options), cwd=ROOT, env=ENVIRONMENT | environment, stderr=stderr, start_new_session=True
        )
        try:
            yield Service(process, url, log)
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(SECONDS)
            assert status in (0, -signal.SIGKILL), log.read_text()  # a test may have killed it


def fail_command(*options: object, **environment: str) -> str:
    """Return the message of a command that must fail."""
    ended = subprocess.run(
        make_command(*options), cwd=ROOT, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode in (1, 2), ended.stderr
    return ended.stderr


def ask_file(path: Path, question: str) -> httpx.Response:
    """Return the answer of the service on a Unix socket."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://service") as client:
        return client.get(question)


def copy_model(folder: Path) -> Path:
    """Copy the smallest model of the repository into a folder of models."""
    shutil.copytree(ROOT / "models" / "next-letter", folder / "next-letter")
    return folder
