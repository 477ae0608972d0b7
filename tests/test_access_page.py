"""Every command of docs/access.md is run, in its order, against the service that the page starts."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app import errors
from tests.conftest import SECONDS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SERVE = "make serve"


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_for_status(url: str, key: str, status: int) -> None:
    """Wait until the service answers to a key with a status: it looks at the file now and then."""
    end = time.monotonic() + SECONDS
    while httpx.get(f"{url}/models", headers={"x-api-key": key}).status_code != status:
        assert time.monotonic() < end


@contextmanager
def serve(line: str, folder: Path) -> Iterator[str]:
    """Start the service of a line on a free port, and give its address when it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["bash", "-c", f"exec env {line} LSTM_SERVE_PORT={port}"]
    service = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + SECONDS
        while not is_ready(f"http://127.0.0.1:{port}"):
            assert time.monotonic() < end and service.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        service.terminate()
        service.wait(SECONDS)


def run(line: str, folder: Path) -> None:
    ended = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"


def test_the_commands_work_one_after_the_other(tmp_path: Path) -> None:
    for name in (".venv", "Makefile", "requirements", "app", "bundle", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    first, second = (index for index, line in enumerate(LINES) if SERVE in line)
    for line in LINES[:first]:
        run(line, tmp_path)
    with serve(LINES[first], tmp_path) as url:
        for line in LINES[first + 1 : second]:
            run(line.replace("http://localhost:8000", url).replace("localhost:8000", url), tmp_path)
        keys = {path.name: path.read_text().strip() for path in tmp_path.glob("*.key")}
        wait_for_status(url, keys["new-web.key"], 200)
        wait_for_status(url, keys["web.key"], 401)
        wait_for_status(url, keys["operator.key"], 401)
    with serve(LINES[second], tmp_path) as url:
        wait_for_status(url, keys["new-web.key"], 200)
        wait_for_status(url, keys["web.key"], 401)
    for line in LINES[second + 1 :]:
        run(line, tmp_path)


def test_the_table_of_answers_has_the_kinds_of_the_errors() -> None:
    rows = {(int(status), kind) for status, kind in re.findall(r"^\| (\d{3}) \| `([a-z-]+)`", PAGE, re.MULTILINE)}
    kinds = (
        error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, errors.AccessError)
    )
    known = {(int(error.status), error.kind) for error in kinds if hasattr(error, "status")}
    assert rows == known
