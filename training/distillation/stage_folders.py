"""A folder for the result of each stage; its name depends on all inputs of the stage."""

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
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

Depends = dict[str, JsonValue]  # the inputs of a stage: its own settings, and the inputs of earlier stages
Figures = dict[str, float]  # the figures of a finished stage


class StageFolders:
    """The folders of all stages, in one root folder.

    The name of a folder has a hash of all inputs of its stage. So recipes with the same first stages share them, and no
    stage continues from a result that does not fit.
    """

    def __init__(self, root: Path, console: Console, stages: Sequence[str]) -> None:
        """Take the root folder, the console that shows the progress, and the names of the recipe's stages in order."""
        self._root = root
        self._console = console
        self._stages = stages

    def run(self, name: str, depends: Depends, work: Callable[[Path], Figures], stage: str | None = None) -> Path:
        """Return the folder of a stage; do its work first, unless it is finished.

        `stage` is the stage of the recipe that the work belongs to, if its name is another one.

        Raises:
            CheckpointError: another process works in the folder.
        """
        text = json.dumps(depends, indent=1, sort_keys=True)
        folder = self._root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if not (folder / _DONE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder):
                if (folder / _DONE).exists():  # another process finished it meanwhile
                    return folder
                (folder / _SETTINGS).write_text(text)
                part = stage or name
                place = f"stage {self._stages.index(part) + 1} of {len(self._stages)}, {part}"
                self._console.print(f"{place}: in {folder}", markup=False, highlight=False, soft_wrap=True)
                started = time.monotonic()
                figures = work(folder)
                flush_folder(folder)
                figures = {"seconds": time.monotonic() - started} | figures
                with replacing(folder / _DONE) as file:
                    file.write(json.dumps({"environment": describe_environment(), "figures": figures}).encode())
            self._console.print(f"{name}: done, {tell(figures)}", highlight=False, soft_wrap=True)
        return folder


def read_depends(folder: Path) -> Depends:
    """Return the inputs of the stage in a folder."""
    depends: Depends = json.loads((folder / _SETTINGS).read_text())
    return depends


def read_figures(folder: Path) -> Figures:
    """Return the figures of the stage in a folder."""
    figures: Figures = json.loads((folder / _DONE).read_text())["figures"]
    return figures


def read_environment(folder: Path) -> str:
    """Return the environment in which the stage in a folder was finished."""
    environment: str = json.loads((folder / _DONE).read_text())["environment"]
    return environment


def tell(figures: Figures) -> str:
    """Return figures as readable text."""
    return ", ".join(f"{key} {value:,.4f}".rstrip("0").rstrip(".") for key, value in figures.items())


def describe_stage(name: str, folder: Path) -> str:
    """Return the row of a stage in the table of a card, Markdown."""
    figures = read_figures(folder)
    minutes = figures.pop("seconds") / 60
    return f"| {name} | {minutes:.1f} min | {read_environment(folder)} | {tell(figures)} |"


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes.

    Raises:
        CheckpointError: another process has the lock.
    """
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another process works in {folder}; wait for it, or stop it") from error
        yield
