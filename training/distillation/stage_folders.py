"""A folder for the result of each stage, found again by all that the stage depends on."""

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console

from bundle.store import flush_folder
from training.errors import CheckpointError
from training.files import replacing
from training.loops.environment import describe_environment

_SETTINGS = "settings.json"
_DONE = "done.json"
_LOCK = "lock"

Depends = dict[str, JsonValue]  # what a stage depends on: its own settings, and all of earlier stages
Figures = dict[str, float]  # what a stage gave


class StageFolders:
    """The folders of stages, side by side.

    A folder has a hash of all that its stage depends on in its name, so recipes that begin alike share their first
    stages, and none goes on from what does not fit.
    """

    def __init__(self, root: Path, console: Console) -> None:
        """Take the folder in which they are, and what is told the progress."""
        self._root = root
        self._console = console

    def run(self, name: str, depends: Depends, work: Callable[[Path], Figures]) -> Path:
        """Return the folder of a stage, after its work unless that is done.

        Raises:
            CheckpointError: another process works in it.
        """
        text = json.dumps(depends, indent=1, sort_keys=True)
        folder = self._root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if not (folder / _DONE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder):
                if (folder / _DONE).exists():  # by now
                    return folder
                (folder / _SETTINGS).write_text(text)
                self._console.print(f"{name}: in {folder}", highlight=False, soft_wrap=True)
                started = time.monotonic()
                figures = work(folder)
                flush_folder(folder)
                figures = {"seconds": time.monotonic() - started} | figures
                with replacing(folder / _DONE) as file:
                    file.write(json.dumps({"environment": describe_environment(), "figures": figures}).encode())
            self._console.print(f"{name}: done, {tell(figures)}", highlight=False, soft_wrap=True)
        return folder


def read_depends(folder: Path) -> Depends:
    """Return what the stage of a folder depends on."""
    depends: Depends = json.loads((folder / _SETTINGS).read_text())
    return depends


def read_figures(folder: Path) -> Figures:
    """Return what the stage of a folder gave."""
    figures: Figures = json.loads((folder / _DONE).read_text())["figures"]
    return figures


def read_environment(folder: Path) -> str:
    """Return what the stage of a folder ended on."""
    environment: str = json.loads((folder / _DONE).read_text())["environment"]
    return environment


def tell(figures: Figures) -> str:
    """Return figures for people to read."""
    return ", ".join(f"{key} {value:,.4f}".rstrip("0").rstrip(".") for key, value in figures.items())


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder.

    Raises:
        CheckpointError: one is in it.
    """
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another process works in {folder}; wait for it, or stop it") from error
        yield
