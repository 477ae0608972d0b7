"""The commands, called as a shell would, and what their tests share."""

import re
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

import training
from bundle.files import hash_file
from bundle.manifest import Description, Manifest
from bundle.store import Bundle
from training.__main__ import application
from training.recipes.recipe import Recipe
from training.reports.results import Run

ROOT = Path(training.__file__).parents[1]
QUICK = ["units=2", "features=0", "length=2", "epochs=1", "batch_size=64", "steps_per_call=1", "short_run_copies=1"]
QUICK_OPTIONS = [part for assignment in QUICK for part in ("--set", assignment)]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def one_line(text: str) -> str:
    """Return text as it was before it was folded to the width of the terminal, as far as words go."""
    return " ".join(text.split())


def check_error(result: Result, message: str, status: int = 1) -> None:
    """Check that a command failed with one line that says so, and nothing else on standard error."""
    assert result.exit_code == status
    assert re.fullmatch(f"error: .*{message}.*\n", result.stderr)
    assert "Traceback" not in result.output


def check_usage(result: Result, message: str) -> None:
    """Check that a command was refused for what was typed."""
    check_error(result, message, status=2)


def copy(bundle: Bundle, to: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, to))


def reseal(folder: Path, **changes: object) -> None:
    """Write a valid manifest that says something else, of the files as they are now."""
    manifest = Manifest.read(folder)
    fields = manifest.model_dump(include=set(Description.model_fields)) | changes
    files = {name: hash_file(folder / name) for name in manifest.files if (folder / name).exists()}
    Manifest.seal(Description.model_validate(fields), manifest.version, files).write(folder)


def record(recipe: Recipe, **metrics: float) -> Run:
    """Return the record of a run that gave these figures."""
    return Run.record(
        recipe, {"accuracy": 0.5, "loss": 1.0} | metrics, {"loss": [1.0], "accuracy": [0.5]}, "abc", 100, 1.0, {}
    )
