"""Several processes that answer on one port: in which order they load their models.

One process cannot use more than one core for what is Python, which is half of what a request costs. The first process
answers from the start, with 503 until its models are loaded, so that health checks tell. The others load theirs when
the first is ready, and take connections only then. So no request is sent to a process that cannot answer it, and the
first is not kept waiting for a core.
"""

import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any


class Turn:
    """The turn of a process to load its models; a process that is alone is first.

    A lock on a file that the processes of one parent share: held exclusively by the first until its turn ends, and by
    those that are ready together. So a process that takes the place of one that died is not first either.
    """

    def __init__(self, parent: BaseProcess | None) -> None:
        """Find out who else there is, by the process that started this one to share a port with others."""
        self._file: int | None = None
        self.is_first = True
        if parent is not None:
            self._path = Path(tempfile.gettempdir(), f"lstm-serve-{parent.pid}.lock")
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self.is_first = _lock_alone(self._file)

    def end(self) -> None:
        """Let the others load: this process is ready."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def wait(self) -> None:
        """Wait until the first is ready, or gone."""
        self.end()  # the same lock, which the first does not let anybody have before

    def close(self) -> None:
        """Leave; the last one removes the file."""
        if self._file is not None:
            if _lock_alone(self._file):
                self._path.unlink(missing_ok=True)
            os.close(self._file)


def _lock_alone(file: int) -> bool:
    """Lock a file exclusively, and return whether nobody else holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def on_ending(call: Callable[[], None]) -> Iterator[None]:
    """Call something when the process is told to end while the block runs, besides what is done then anyway.

    Uvicorn looks whether it is to end only when a process has started.
    """
    if threading.current_thread() is not threading.main_thread():  # which is the only one that handles signals
        yield
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        call()
        if callable(handler := handlers[number]):
            handler(number, frame)

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
