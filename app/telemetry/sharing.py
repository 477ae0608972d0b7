"""The folder in which the processes of a service share their metrics.

The supervisor holds it, so this module does not import prometheus_client. `Place` is the side of the workers.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.errors import SettingsError

# The variable in which prometheus_client expects the folder.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "lstm-serve-metrics-"
# In memory: files on a disk would be written to it again and again.
MEMORY = Path("/dev/shm")
# A service may be starting that has made a younger folder and not locked it yet.
LEFT_SECONDS = 60


@contextmanager
def hold_folder() -> Iterator[Path]:
    """Hold a new folder for the processes that the block starts, and remove it at the end.

    The folders of services that were killed are removed, too.

    Raises:
        SettingsError: no folder can be made.
    """
    root = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for folder in root.glob(f"{PREFIX}*"):
        _remove_if_left(folder)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    except OSError as error:
        raise SettingsError(
            f"cannot make a folder for the metrics in {root}: {error.strerror}; mount a tmpfs at /dev/shm or /tmp"
        ) from error
    held = lock(folder)
    assert held is not None, "This is a bug: the name of a new folder is not known to others"
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


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
