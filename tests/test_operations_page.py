"""The commands of docs/operations.md work on the models of the repository, in the order of the page."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from app.runtime.policy import Policy, read_policy

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_every_command_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "app").symlink_to(ROOT / "app")
    (tmp_path / "bundle").symlink_to(ROOT / "bundle")
    policies = {}
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        command, *arguments = shlex.split(line)
        assert command == "python"
        subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True)
        policies[line] = read_policy(tmp_path / "models" / "sentiment")
    assert policies["python -m app models label sentiment candidate 7"].labels["candidate"] == 7
    assert policies[lines[-1]] == Policy(labels={"candidate": 7, "stable": 7})
    assert read_policy(tmp_path / "models" / "imdb-500").is_loaded
