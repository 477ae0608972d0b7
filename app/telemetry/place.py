"""The place of a process among those that share their metrics, in the memory-mapped files of prometheus_client.

A place is a number, which a process holds as a lock. Its files have this number in their names. A later process that
takes the place continues these files: so totals do not fall when a process ends, and the number of files is bounded.
Each version of a model has files of its own in every place, so that they can be removed together: its gauges when a
process closes it, its totals some time after every process has, as a scrape comes only now and then.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import Metric, values
from prometheus_client.multiprocess import MultiProcessCollector

from app.telemetry.sharing import lock

# Totals of a closed version stay so long: a few intervals between two scrapes.
CLOSED_SECONDS = 120
# Of more closed versions, only the latest keep their totals: /dev/shm is small in containers.
CLOSED_VERSIONS = 4

Version = tuple[str, str]  # the labels `model` and `version`


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
        self._held = None
        self._number = -1
        while self._held is None:
            self._number += 1
            self._held = _lock_place(folder, self._number)
        _remove_gauges(folder, f"{self._number}")
        self._collecting = folder / "collecting"
        self._collecting.touch()
        self._files: dict[Version | None, _Files] = {}
        self._closed: list[_Files] = []
        values.ValueClass = self._make_value

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
        # Also without any scrapes. If another process collects, that removes them.
        if closed and (held := lock(self._collecting)) is not None:
            self._remove_dead()
            os.close(held)

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
        version = find_version(dict(zip(labels, found, strict=True)))
        if version not in self._files:
            self._files[version] = self._closed.pop() if self._closed else _Files()
            self._files[version].owner = self._name_owner(version)
        return self._files[version].value_class(kind, metric, name, labels, found, *rest, **mode)

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
            path.unlink()
