"""Every command of docs/operations.md is run, in its order, with the service that the page starts."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.runtime.policy import Policy, read_policy
from tests.conftest import SECONDS
from tests.test_access_page import SERVE, run, serve

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SECTIONS = ("Run", "Watch", "Update", "Roll back", "Secure", "Size")


def wait_for_version(url: str, key: str, version: int) -> None:
    """Wait until the service answers with a version."""
    end = time.monotonic() + SECONDS
    while ask(url, key)["version"] != version:
        assert time.monotonic() < end


def ask(url: str, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/sentiment", json={"text": "good"}, headers={"x-api-key": key}).json()
    return answer


def test_every_command_works(tmp_path: Path) -> None:
    for name in (".venv", "Makefile", "requirements", "app", "bundle"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "new").mkdir()
    (tmp_path / "models" / "sentiment" / "9").rename(tmp_path / "new" / "9")
    (start,) = (index for index, line in enumerate(LINES) if line.startswith(SERVE))
    for line in LINES[:start]:
        run(line, tmp_path)
    with serve(LINES[start], tmp_path) as url:
        key = (tmp_path / "operator.key").read_text().strip()
        expected: dict[str, Callable[[], None]] = {
            "mv new/9 models/sentiment/9": lambda: wait_for_version(url, key, 9),
            ".venv/bin/python -m app models pin sentiment 6": lambda: wait_for_version(url, key, 6),
            ".venv/bin/python -m app models unpin sentiment": lambda: wait_for_version(url, key, 9),
        }
        assert ask(url, key)["version"] == 6
        for line in LINES[start + 1 :]:
            run(line.replace("localhost:8000", url), tmp_path)
            expected.get(line, lambda: None)()
        wait_for_version(url, key, 9)
        assert httpx.get(f"{url}/models", headers={"x-api-key": (tmp_path / "web.key").read_text().strip()}).is_success
    assert read_policy(tmp_path / "models" / "sentiment") == Policy(labels={"candidate": 9, "stable": 9})
    assert read_policy(tmp_path / "models" / "imdb-500").is_loaded


def test_every_duty_of_an_operator_has_a_section_with_a_command() -> None:
    for section in SECTIONS:
        (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        assert "```sh\n" in text, section


def test_the_figures_for_sizing_are_those_of_the_page_about_deployment() -> None:
    deployment = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    (text,) = re.findall(r"^## Size$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    figures = re.findall(r"(?<!localhost:)\b\d{3,}\b", text)
    assert figures == ["512", "785", "500"]
    for figure in figures:
        assert re.search(rf"\b{figure}\b", deployment)
