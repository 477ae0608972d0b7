"""The commands, as `benchmarks/README.md` tells them."""

import importlib
import re

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.environments import ROOT

README = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
COMMANDS = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "typer.run(main)" in path.read_text()]


def test_every_command_is_in_the_readme_once() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)[: len(COMMANDS)]) == sorted(COMMANDS)
    assert sorted(re.findall(r"^## `(\w+)`: ", README, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_tells_how_it_is_used(name: str) -> None:
    command = typer.Typer()
    command.command()(importlib.import_module(f"benchmarks.{name}").main)
    told = CliRunner().invoke(command, ["--help"])
    assert told.exit_code == 0
    assert "--out" in told.output
