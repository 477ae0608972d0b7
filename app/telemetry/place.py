"""The place of a process among those that share their metrics, in the memory-mapped files of prometheus_client.

A place is a number, which a process holds as a lock. Its files have this number in their names. A later process that
takes the place continues these files: so totals do not fall when a process ends, and the number of files is bounded.
Each version of a model has files of its own in every place, so that they can be removed together: its gauges when a
process closes it, its totals some time after every process has, as a scrape comes only now and then.

Without a place, or without space for a value, the value is one of this process alone, and nobody sees it: a service
answers without metrics, too.
"""

import fcntl
import hashlib
import logging
import mmap
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from app.folders import lock, make_again

# Totals of a closed version stay so long: a few intervals between two scrapes.
CLOSED_SECONDS = 120
# Of more closed versions, only the latest keep their totals: /dev/shm is small in containers.
CLOSED_VERSIONS = 4

Version = tuple[str, str]  # the labels `model` and `version`

logger = logging.getLogger(__name__)


class _Reserved(MmapedDict):
    """A file with space for all that is written to it.

    prometheus_client makes files with holes. When no space is left, a write to a hole ends the process by SIGBUS, and a
    reservation raises an error.
    """

    _MOST_MORE = 28  # bytes of a value besides its key

    def __init__(self, filename: str) -> None:
        _reserve(filename, mmap.PAGESIZE)
        super().__init__(filename)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        size = self._capacity
        while self._used + len(key.encode()) + self._MOST_MORE > size:
            size *= 2
        if size > self._capacity:
            _reserve(self._fname, size)
            self._m = mmap.mmap(self._f.fileno(), size)
            self._capacity = size
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(path: str, size: int) -> None:
    """Reserve space for a file, which is made if there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


values.MmapedDict = _Reserved  # type: ignore[attr-defined, assignment]


class _Files:
    """The open files of one version, or of no version.

    After they are closed, the object is used for another version: prometheus_client never frees such a class.

    Attributes:
        owner: the end of the names of the files.
        value_class: of the values in the files.
    """

    def __init__(self) -> None:
        self.owner = ""
        self.value_class = values.MultiProcessValue(lambda: self.owner)


class Place:
    """The place of this process."""

    def __init__(self, folder: Path) -> None:
        """Take the first free place in a folder. Metrics that are made from now on are shared."""
        self._folder = folder
        self._held: int | None = None
        self._number = -1
        self._has_failed = False
        self._collecting = folder / "collecting"
        self._files: dict[Version | None, _Files] = {}
        self._closed: list[_Files] = []
        self._take()
        values.ValueClass = self._make_value

    def renew(self) -> bool:
        """Take a place again if somebody has removed the folder; return whether all values have to be made again."""
        if self._held is not None:
            if os.fstat(self._held).st_nlink:
                return False
            os.close(self._held)
            self._held = None
        if not self._take():
            return False
        for files in self._files.values():
            files.value_class.close_all_files()
            self._closed.append(files)
        self._files.clear()
        logger.warning("the metrics begin anew in the folder %s", self._folder)
        return True

    def keep(self, versions: Collection[Version | None]) -> None:
        """Close the files of all other versions of models; None stands for the files of no version."""
        closed = self._files.keys() - versions
        for version in closed:
            files = self._files.pop(version)
            files.value_class.close_all_files()
            self._closed.append(files)
            for path in self._folder.glob(f"*_{files.owner}.db"):
                with suppress(FileNotFoundError):  # of a late answer, after another process has removed them
                    os.utime(path)  # before its gauges go: see `_remove_dead`
            _remove_gauges(self._folder, files.owner)
        if closed:  # also without any scrapes
            with suppress(OSError), self._collecting.open() as file:  # somebody may have removed it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process that collects removes them itself
                self._remove_dead()

    def collect(self, files: str = "*.db") -> list[Metric]:
        """Return the metrics of all processes together; takes milliseconds, in any thread.

        The files of ended processes and of versions that were closed long ago are removed before.

        Args:
            files: the names of the files to read, which begin with the kinds of their metrics.
        """
        with self._collecting.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # one process at a time, as no other may remove what this one reads
            self._remove_dead()
            filled = [str(path) for path in self._folder.glob(files) if _is_filled(path)]
            return list(MultiProcessCollector.merge(filled))

    def _make_value(
        self, kind: str, metric: str, name: str, labels: Sequence[str], found: Sequence[str], *rest: Any, **mode: Any
    ) -> Any:
        """Return a value in the files of its version: see `values.MultiProcessValue`."""
        if self._held is None:
            return values.MutexValue(kind, metric, name, labels, found, *rest, **mode)
        version = find_version(dict(zip(labels, found, strict=True)))
        if version not in self._files:
            self._files[version] = self._closed.pop() if self._closed else _Files()
            self._files[version].owner = self._name_owner(version)
        try:
            return self._files[version].value_class(kind, metric, name, labels, found, *rest, **mode)
        except OSError as error:
            self._note(error)
            return values.MutexValue(kind, metric, name, labels, found, *rest, **mode)

    def _take(self) -> bool:
        """Take the first free place, and return whether there is one."""
        try:
            make_again(self._folder)
            self._collecting.touch()
            number = 0
            while (held := _lock_place(self._folder, number)) is None:
                number += 1
        except OSError as error:
            self._note(error)
            return False
        self._held, self._number, self._has_failed = held, number, False
        _remove_gauges(self._folder, f"{number}")
        return True

    def _note(self, error: OSError) -> None:
        """Log why metrics are not shared, once until there is a new place."""
        if not self._has_failed:
            self._has_failed = True
            logger.error("metrics are missing, as %s cannot hold them: %s", self._folder, error)

    def _name_owner(self, version: Version | None) -> str:
        """Return the end of the names of files. Names of models may have any characters, so they are hashed."""
        if version is None:
            return f"{self._number}"
        return f"{self._number}-{hashlib.sha256('/'.join(version).encode()).hexdigest()[:16]}"

    def _remove_dead(self) -> None:
        """Remove the gauges of processes that have ended, and files of versions that no process has.

        Each process writes a gauge of a version first, and removes it when it closes the version. All files of a
        version go at once, some time after the last process has closed it: a total that falls looks like a restart.
        """
        files = [*self._folder.glob("*-*.db")]
        for number in {_read_owner(path)[0] for path in self._folder.glob("gauge_*.db")}:
            if (held := _lock_place(self._folder, number)) is not None:
                _remove_gauges(self._folder, f"{number}")
                os.close(held)
        living = {_read_owner(path)[1] for path in self._folder.glob("gauge_*.db")}
        closed: dict[str, list[Path]] = {}
        for path in files:
            if _read_owner(path)[1] not in living:
                closed.setdefault(_read_owner(path)[1], []).append(path)
        times = {version: max(map(_read_time, paths)) for version, paths in closed.items()}
        latest = sorted(times, key=lambda version: times[version])[-CLOSED_VERSIONS:]
        kept = {version for version in latest if times[version] > time.time() - CLOSED_SECONDS}
        for version in closed.keys() - kept:
            for path in closed[version]:
                path.unlink(missing_ok=True)


def find_version(labels: Mapping[str, str]) -> Version | None:
    """Return the version of a model that the labels of a metric name, if they name one."""
    return (labels["model"], labels["version"]) if labels.get("model") and labels.get("version") else None


def _lock_place(folder: Path, number: int) -> int | None:
    """Return a lock of a place; None if a process has it."""
    path = folder / f"{number}.lock"
    path.touch()
    return lock(path)


def _read_owner(path: Path) -> tuple[int, str]:
    """Return the number of the place, and the hash of the version, empty for files of no version."""
    number, _, version = path.stem.rpartition("_")[2].partition("-")
    return int(number), version


def _read_time(path: Path) -> float:
    """Return when a file was made, or its version was closed; 0 if it has been removed since it was listed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _is_filled(path: Path) -> bool:
    """Return whether a file has values: not if a process is making it, or has removed it since it was listed."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _remove_gauges(folder: Path, owner: str) -> None:
    """Remove the gauges of a place, or those of one version in it."""
    for path in folder.glob("gauge_*.db"):
        found = path.stem.rpartition("_")[2]
        if found == owner or found.startswith(f"{owner}-"):
            path.unlink(missing_ok=True)
