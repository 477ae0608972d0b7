"""Every command of docs/access.md is run, in its order, against the service that the page starts."""

import re
import socket
import subprocess
import time
from pathlib import Path

import httpx

from app import errors
from app.errors import RequestError
from tests.conftest import SECONDS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SERVE = "make serve "


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


def test_the_commands_work_one_after_the_other(tmp_path: Path) -> None:
    for name in (".venv", "Makefile", "requirements", "app", "bundle", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    begin = next(index for index, line in enumerate(LINES) if line.startswith(SERVE))

    def run(line: str) -> None:
        command = line.replace("localhost:8000", f"127.0.0.1:{port}")
        ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"

    for line in LINES[:begin]:
        run(line)
    command = [*LINES[begin].split(), f"LSTM_SERVE_PORT={port}"]
    service = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + SECONDS
        while not is_ready(url):
            assert time.monotonic() < end and service.poll() is None
        for line in LINES[begin + 1 :]:
            run(line)
        keys = {path.name: path.read_text().strip() for path in tmp_path.glob("*.key")}
        wait_for_status(url, keys["new-web.key"], 200)
        wait_for_status(url, keys["web.key"], 401)
        wait_for_status(url, keys["operator.key"], 401)
    finally:
        service.terminate()
        service.wait(SECONDS)


def test_the_table_of_answers_has_the_kinds_of_the_errors() -> None:
    rows = {(int(status), kind) for status, kind in re.findall(r"^\| (\d{3}) \| `([a-z-]+)`", PAGE, re.MULTILINE)}
    kinds = (error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, RequestError))
    known = {(int(error.status), error.kind) for error in kinds if error is not RequestError}
    assert rows == {(status, kind) for status, kind in known if status in (401, 403, 429)}
