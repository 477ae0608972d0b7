"""Every command of the README is run, and every answer it shows is the one that comes."""

import json
import re
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import SMALL_RECIPES
from tests.training.general.conftest import SMALL_GENERAL, add_story, write_transformer, write_treebank

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```\n(?:\n```json\n(.*?)```)?", README, re.DOTALL)
ASKED = [(command.strip(), answer) for command, answer in BLOCKS if command.startswith("curl")]
TYPED = [line for command, _ in BLOCKS if not command.startswith("curl") for line in command.splitlines()]

NO_PAIRS = ("teaching.pair_copies=0", "learning.pair_copies=0")  # they are thousands

# What a test adds to a command, so that it is over soon.
SHORTER = {
    "train next-letter": " --set epochs=1",
    "train sentiment-night": "".join(f" --set {assignment}" for assignment in SMALL_RECIPES["sentiment"]),
    "train sentiment-general": "".join(f" --set {assignment}" for assignment in (*SMALL_GENERAL, *NO_PAIRS)),
}
NOT_RUN_AGAIN = {"make test"}  # it is what runs this


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


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    """A checkout to write in: the code linked, the models copied, and a small archive of reviews."""
    folder = tmp_path_factory.mktemp("checkout")
    write_treebank(folder / "trainDevTestTrees_PTB.zip")
    write_transformer(folder / "all-MiniLM-L6-v2")
    for name in (".venv", "Makefile", "requirements", "app", "bundle", "tables", "training", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "models", folder / "models")
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
        archive.add(add_story(reviews, folder / "reviews"), "aclImdb")
    return folder


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


def test_the_readme_has_commands_and_questions() -> None:
    assert {"make serve", "make test"} <= set(TYPED)
    assert len(ASKED) >= 4


@pytest.mark.parametrize(("command", "answer"), ASKED, ids=[command.split()[2] for command, _ in ASKED])
def test_a_question_gets_the_answer_shown(port: int, command: str, answer: str) -> None:
    command = command.replace("localhost:8000", f"localhost:{port}")
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert_same(json.loads(result.stdout), json.loads(answer))


@pytest.mark.parametrize("command", [line for line in TYPED if line not in NOT_RUN_AGAIN | {"make serve"}])
def test_a_command_works(checkout: Path, command: str) -> None:
    if "torch" in command and not find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    for part, more in SHORTER.items():
        if part in command:
            command += more
    result = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
