"""The folder in which the processes of a service share their metrics.

The supervisor holds it, so this module does not import prometheus_client. `Place` is the side of the workers.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.errors import SettingsError
from app.folders import hold

# The variable in which prometheus_client expects the folder.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "lstm-serve-metrics-"
# In memory: files on a disk would be written to it again and again.
MEMORY = Path("/dev/shm")


@contextmanager
def hold_folder() -> Iterator[Path]:
    """Hold a new folder for the processes that the block starts: see `app.folders.hold`.

    Raises:
        SettingsError: no folder can be made.
    """
    root = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    with ExitStack() as held:
        try:
            folder = held.enter_context(hold(PREFIX, root))
        except OSError as error:
            raise SettingsError(
                f"cannot make a folder for the metrics in {root}: {error.strerror}; mount a tmpfs at /dev/shm or /tmp"
            ) from error
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(folder)
        try:
            yield folder
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before
