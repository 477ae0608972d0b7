"""Files that several processes read and change: replaced in one step, by one process at a time."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundle.files import flush

LOCK_SECONDS = 2.0
_PAUSE_SECONDS = 0.01


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: a file that is replaced cannot have one itself.

    Raises:
        OSError: the folder cannot be opened, or another process holds its lock for long.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock of its folder") from error
            time.sleep(_PAUSE_SECONDS)


def replace_file(path: Path, text: str, mode: int) -> None:
    """Write a file in one step, so that nobody reads a part of it, and flush it to the disk.

    Only one process may do so at a time: it holds the lock of the folder, or nobody else writes the file. So what a
    process that was killed has left beside the file can be removed.

    A new file gets the mode; an old one keeps its owner and its mode, because the service may run as another user than
    the operator. A link stays a link: the file that it names is replaced.

    Raises:
        OSError: the file cannot be written, and stays as it was.
    """
    path = path.resolve()
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    try:
        with staged.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if path.exists():
                found = path.stat()
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
                mode = stat.S_IMODE(found.st_mode)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    flush(path.parent)
