"""How much each client has used, in small files that all processes of a service share.

The kernel releases the lock of a process that dies. A lock in shared memory would stay locked.
"""

import fcntl
import logging
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import SettingsError
from app.folders import hold, make_again
from bundle.errors import explain

PREFIX = "lstm-serve-usage-"

_FORMAT = struct.Struct("<ddqqqqq")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Record:
    """How much one client has used; all zeros at first.

    Attributes:
        requests: of the burst that are used, with those in shares.
        requests_at: when that was so, on the clock of `time.monotonic`, which all processes of a machine share.
        texts: on the day, with those in shares.
        day: since 1970, in UTC.
        period: of `app.access.rates.PERIOD_SECONDS`, on the clock of `requests_at`.
        held: requests that were put into shares in this period, without the shares that have ended.
        held_before: those of the period before.
    """

    requests: float
    requests_at: float
    texts: int
    day: int
    period: int = 0
    held: int = 0
    held_before: int = 0

    def pack(self) -> bytes:
        """Return the contents of the file."""
        return _FORMAT.pack(
            self.requests, self.requests_at, self.texts, self.day, self.period, self.held, self.held_before
        )


class Usage:
    """The records of all clients.

    While the file of a client cannot be used, each process counts the client alone. A file that somebody has removed is
    made again, and continues the count.
    """

    def __init__(self, folder: Path | None) -> None:
        """Take the folder that the processes share; None if there is only this process."""
        self._folder = folder
        self._files: dict[str, int] = {}
        self._known: dict[str, bytes] = {}  # the records as this process has seen them last
        self._alone: set[str] = set()  # the clients whose files cannot be used

    @contextmanager
    def lock(self, name: str) -> Iterator[Record]:
        """Give the record of a client, and write what the block has made of it, unless the block raises an error.

        Another process waits meanwhile, so the block must be short.
        """
        file, found = self._lock_file(name)
        try:
            record = self._choose(name, found)
            yield record
            self._known[name] = record.pack()
            if file is not None:
                self._write(name, file)
        finally:
            if file is not None:
                fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _lock_file(self, name: str) -> tuple[int | None, bytes]:
        """Lock the file of a client, and return it with its contents; None if it cannot be used."""
        if self._folder is None:
            return None, b""
        try:
            file = self._files.get(name)
            if file is None or not os.fstat(file).st_nlink:  # somebody has removed it
                file = self._open(self._folder, name)
            fcntl.flock(file, fcntl.LOCK_EX)
            return file, os.pread(file, _FORMAT.size, 0)
        except OSError as error:
            self._close_file(name)  # it may be locked
            self._count_alone(name, error)
            return None, b""

    def _open(self, folder: Path, name: str) -> int:
        """Open the file of a client, which is empty at first."""
        self._close_file(name)
        make_again(folder)
        file = self._files[name] = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        return file

    def _close_file(self, name: str) -> None:
        if name in self._files:
            os.close(self._files.pop(name))

    def _choose(self, name: str, found: bytes) -> Record:
        """Return the record in the file of a client, or the one that this process knows if it counts more."""
        if found and name not in self._alone:
            return Record(*_FORMAT.unpack(found))
        known = self._known.get(name, bytes(_FORMAT.size))
        records = [Record(*_FORMAT.unpack(packed)) for packed in (known, found) if packed]
        return max(records, key=lambda record: (record.day, record.texts, record.requests_at))

    def _write(self, name: str, file: int) -> None:
        """Write the record that this process knows."""
        try:
            os.pwrite(file, self._known[name], 0)
        except OSError as error:
            self._count_alone(name, error)
        else:
            if name in self._alone:
                self._alone.remove(name)
                logger.info("the processes count the client %s together again", name)

    def _count_alone(self, name: str, error: OSError) -> None:
        """Log why the file of a client cannot be used, once until it can be."""
        if name not in self._alone:
            self._alone.add(name)
            logger.error("each process counts the client %s alone until its file can be used: %s", name, error)


@contextmanager
def share_usage() -> Iterator[Path]:
    """Make a folder for `Usage` that exists while the block runs: see `app.folders.hold`.

    Raises:
        SettingsError: there is no place for it.
    """
    with ExitStack() as held:
        try:
            folder = held.enter_context(hold(PREFIX, Path(tempfile.gettempdir())))
        except OSError as error:
            where = tempfile.gettempdir()
            raise SettingsError(
                f"requests of clients cannot be counted in {where}: {explain(error)}; set TMPDIR to a folder"
            ) from error
        yield folder
