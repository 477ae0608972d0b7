"""How much each client has used, in small files that all processes of a service share.

The kernel releases the lock of a process that dies. A lock in shared memory would stay locked.
"""

import fcntl
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import SettingsError
from bundle.errors import explain

_FORMAT = struct.Struct("<ddqq")


@dataclass(slots=True)
class Record:
    """How much one client has used; all zeros at first.

    Attributes:
        requests: of the burst that are used.
        requests_at: when that was so, on the clock of `time.monotonic`, which all processes of a machine share.
        texts: on the day.
        day: since 1970, in UTC.
    """

    requests: float
    requests_at: float
    texts: int
    day: int


class Usage:
    """The records of all clients."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder that the processes share; None if there is only this process."""
        self._folder = folder
        self._files: dict[str, int] = {}

    @contextmanager
    def lock(self, name: str) -> Iterator[Record]:
        """Give the record of a client, and write what the block has made of it, unless the block raises an error.

        Another process waits meanwhile, so the block must be short.
        """
        file = self._files[name] if name in self._files else self._open(name)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            record = Record(*_FORMAT.unpack(os.pread(file, _FORMAT.size, 0)))
            yield record
            packed = _FORMAT.pack(record.requests, record.requests_at, record.texts, record.day)
            os.pwrite(file, packed, 0)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _open(self, name: str) -> int:
        """Open the file of a client, which has zeros at first."""
        if self._folder is None:
            file = os.memfd_create(name)
        else:
            file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, _FORMAT.size)  # does not change a file that has this size
        self._files[name] = file
        return file


@contextmanager
def share_usage() -> Iterator[Path]:
    """Make a folder for `Usage` that exists while the block runs.

    Raises:
        SettingsError: there is no place for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="lstm-serve-")
    except OSError as error:
        raise SettingsError(
            f"requests of clients cannot be counted: {explain(error)}; set TMPDIR to a folder"
        ) from error
    with folder as path:
        yield Path(path)
