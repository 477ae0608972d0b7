"""Every command of README.md and of the page of requests is run, and every answer they show is the one that comes."""

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.http.app import create_app
from app.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REQUESTS = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```\n(?:\n```json\n(.*?)```)?", README + REQUESTS, re.DOTALL)
ASKED = [(command.strip(), answer) for command, answer in BLOCKS if command.startswith("curl")]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `make serve`, once the service is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free: int = listener.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "service.log"
    with log.open("w") as output:
        service = subprocess.Popen(["make", "serve", f"LSTM_SERVE_PORT={free}"], cwd=ROOT, stderr=output)
    try:
        deadline = time.monotonic() + 120
        while not is_ready(free):
            assert time.monotonic() < deadline and service.poll() is None, f"not ready: {log.read_text()}"
            time.sleep(0.1)
        yield free
    finally:
        service.terminate()  # make hands the signal on to what it runs
        service.wait(timeout=60)


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/readyz", timeout=10):
            return True
    except OSError:
        return False


def assert_same(answer: object, shown: object) -> None:
    """Check an answer against the one shown; the last digits of probabilities differ from machine to machine."""
    if isinstance(answer, dict) and isinstance(shown, dict):
        assert answer.keys() == shown.keys()
        for key, value in answer.items():
            assert_same(value, shown[key])
    elif isinstance(answer, list) and isinstance(shown, list):
        for item, other in zip(answer, shown, strict=True):
            assert_same(item, other)
    else:
        assert answer == (pytest.approx(shown, abs=1e-3) if isinstance(shown, float) else shown)


def test_the_readme_is_short_and_serves_and_asks() -> None:
    assert len(README.splitlines()) <= 75
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert len(commands) == 2 and commands[0] == "make serve\n" and commands[1].startswith("curl ")


def test_no_block_is_forgotten() -> None:
    assert len(ASKED) == len(BLOCKS) - 1 == (README + REQUESTS).count("```sh") - 1 >= 5
    assert all(answer for _, answer in ASKED)


@pytest.mark.parametrize(("command", "answer"), ASKED, ids=[command.split()[2] for command, _ in ASKED])
def test_a_question_gets_the_answer_shown(port: int, command: str, answer: str) -> None:
    command = command.replace("localhost:8000", f"localhost:{port}")
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert_same(json.loads(result.stdout), json.loads(answer))


def test_the_page_of_requests_has_every_path() -> None:
    shown = set(re.findall(r"`(?:GET|POST) (/[^`]*)`", REQUESTS))
    for path in create_app(Settings()).openapi()["paths"]:
        if not path.startswith("/v2") and "/labels/" not in path and "/shadow" not in path:
            assert path.removesuffix("/{version}") in shown
    assert "/" in shown and "/v2/models/{name}/infer" in shown
