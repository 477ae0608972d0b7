"""What the commands share: what they print, errors as one sentence, bundles and frameworks opened."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from bundle.errors import BundleError, BundleNotFoundError
from bundle.manifest import MANIFEST_FILE
from bundle.store import Bundle, Store, open_bundle
from training.errors import TrainingError
from training.loops.memory import keep_freed_memory
from training.loops.messages import without_chatter

_REMEDIES = {
    errno.EACCES: "make it readable and writable for this user, or name another place",
    errno.EISDIR: "name a file",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "check the path",
    errno.ENOSPC: "free some space, or name another place",
    errno.ENOTDIR: "name a folder",
}


_LOG_COLUMNS = 200  # of a pipe or a log, where tables are not to be folded


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def open_console(quiet: bool) -> Console:
    """Return the console for everything but errors and the last line."""
    return Console(quiet=quiet, width=None if sys.stdout.isatty() else _LOG_COLUMNS)


console = open_console(False)


def say(message: str, to: Console = console) -> None:
    """Print a line as it is, however long."""
    to.print(message, markup=False, highlight=False, soft_wrap=True)


def complain(message: str) -> None:
    """Print a line to standard error, in red on a terminal."""
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """Print a line to standard error, in yellow on a terminal; also for a quiet command."""
    Console(stderr=True).print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def clear_usage() -> Iterator[None]:
    """Convert the errors of what was typed to one sentence and exit status 2, as for an unknown option."""
    try:
        yield
    except (TrainingError, BundleError) as error:
        complain(f"error: {error}")
        raise typer.Exit(2) from error


@contextmanager
def clear_errors(consequence: str = "") -> Iterator[None]:
    """Convert the expected errors to one sentence and exit status 1, Ctrl-C to status 130, and SIGTERM to 143."""
    try:
        with _sigterm_raises():
            yield
    except (TrainingError, BundleError) as error:
        complain(f"error: {error}")
        raise typer.Exit(1) from error
    except OSError as error:
        place = f": '{error.filename}'" if error.filename else ""
        remedy = f"; {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
        complain(f"error: {error.strerror or error}{place}{consequence}{remedy}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interruption:
        complain(f"stopped{consequence}")
        # Not by an exception: TensorFlow's threads may be in the middle of a step, and a normal shutdown of the
        # interpreter then sometimes crashes.
        os._exit(128 + (signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT))


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Have SIGTERM end the block by an exception, so that what it began is removed."""
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(*_: object) -> None:
    raise Terminated


def open_typed_bundle(folder: Path) -> Bundle:
    """Open the bundle in a folder that was typed.

    Raises:
        BundleError: it cannot be opened; also if there is no such folder, or it is not the one of a version.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BundleNotFoundError(f"{folder} {what}; name the folder of a bundle, as in models/NAME/VERSION")
    if versions := Store(folder.parent).versions(folder.name):
        latest = folder / str(versions[-1])
        raise BundleNotFoundError(
            f"{folder} has the versions {', '.join(map(str, versions))}; name one, as in {latest}"
        )
    if not (folder / MANIFEST_FILE).exists():
        raise BundleNotFoundError(
            f"{folder} holds no bundle, as it has no {MANIFEST_FILE}; name the folder of one, as in models/NAME/VERSION"
        )
    return open_bundle(folder)


def prepare_frameworks() -> None:
    """Set the variables that Keras and TensorFlow read when they are imported, and import them.

    That takes seconds, so a command first checks its arguments.
    """
    # Only what ends the program: some lines of the level ERROR are none, and real errors are raised as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # not the backend in the user's keras.json
    keep_freed_memory()
    if "keras" not in sys.modules:
        with without_chatter():
            importlib.import_module("keras")
