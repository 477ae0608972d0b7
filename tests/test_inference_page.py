"""Every command of docs/inference-protocol.md is run, and every answer it shows is the one that comes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.conftest import serve
from tests.test_readme import assert_same
from tests.tools import need

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "inference-protocol.md").read_text(encoding="utf-8")
ASKED = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def served() -> Iterator[httpx.Client]:
    """A client of a service with the models of this repository."""
    with serve(Settings(models=ROOT / "models")) as client:
        yield client


def replace_address(text: str, served: httpx.Client) -> str:
    return text.replace("localhost:8000", f"{served.base_url.host}:{served.base_url.port}")


def test_the_page_has_questions_and_no_other_commands() -> None:
    assert len(ASKED) >= 4 == PAGE.count("```sh")


@pytest.mark.parametrize(("command", "answer"), ASKED)
def test_a_question_gets_the_answer_shown(served: httpx.Client, command: str, answer: str) -> None:
    command = replace_address(command, served)
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert_same(json.loads(result.stdout), json.loads(answer))


@need(find_spec("tritonclient"), "tritonclient[http] is not installed")
def test_the_program_prints_labels_and_probabilities(served: httpx.Client) -> None:
    program = [sys.executable, "-c", replace_address(PROGRAM, served)]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert re.match(r"\[b'positive' b'negative'\] \[\[0\.\d+ *\]\n \[0\.\d+ *\]\]", printed)


def test_every_path_of_the_protocol_is_on_the_page(served: httpx.Client) -> None:
    paths = [path for path in served.get("/openapi.json").json()["paths"] if path.startswith("/v2")]
    assert len(paths) > 10
    for path in paths:
        assert f" {path.replace('/versions/{version}', '')}`" in PAGE
