"""Folders that the processes of one service share: made when it starts, and removed when it ends.

The supervisor holds them, so this module imports nothing but the standard library.
"""

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A service may be starting that has made a younger folder and not locked it yet.
LEFT_SECONDS = 60


@contextmanager
def hold(prefix: str, root: Path) -> Iterator[Path]:
    """Hold a new folder for the processes that the block starts, and remove it at the end.

    The folders of services that were killed are removed, too. They are those in `root` with the prefix.

    Raises:
        OSError: no folder can be made.
    """
    for folder in root.glob(f"{prefix}*"):
        _remove_if_left(folder)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    held = lock(folder)
    assert held is not None, "This is a bug: the name of a new folder is not known to others"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def make_again(folder: Path) -> None:
    """Make a folder again if somebody has removed it.

    Raises:
        OSError: it cannot be made, or another user has made it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.geteuid():  # everybody may make folders where ours was
        raise PermissionError(errno.EACCES, "another user has made this folder", str(folder))


def lock(path: Path) -> int | None:
    """Lock a file or a folder until its descriptor, which is returned, is closed; None if a process has locked it.

    Linux closes the descriptors of a process that ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file or a folder."""
    if (descriptor := lock(path)) is None:
        return True
    os.close(descriptor)
    return False


def _remove_if_left(folder: Path) -> None:
    """Remove a folder that no process uses: neither a supervisor nor workers that outlive theirs for a moment."""
    with suppress(OSError):  # it is another user's, or another service has just removed it
        is_left = time.time() - folder.stat().st_mtime > LEFT_SECONDS
        if is_left and not any(map(is_locked, (folder, *folder.glob("*.lock")))):
            shutil.rmtree(folder)
