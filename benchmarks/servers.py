"""One server at a time: started on a free loopback port, measured, and stopped with all processes that it started."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

HOST = "127.0.0.1"

_READY_SECONDS = 180
_STOP_SECONDS = 20
_SETTLE_SECONDS = 30
_ASK_SECONDS = 60
_QUIET_LOOKS = 3  # successive idle looks; a starting process may be idle for a moment between two steps
_IDLE_SHARE = 0.25  # of one core; Ray's own processes take a tenth without requests
_LOG_LINES = 25
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_SHARED_MEMORY = ("/dev/shm/", "/dev/zero", "/memfd:", "/SYSV")  # counted with memory that is not from a file
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server did not start, died, or did not answer as expected."""


class Server:
    """A running server; its processes are all descendants of this process that were started since."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes], others: set[int]) -> None:
        """Take the process, its port and log, and the processes that existed before it."""
        self.process = process
        self.port = port
        self._log = log
        self._others = others
        self._started = time.monotonic()
        self.ready_seconds = 0.0  # from the start of the process

    def get(self, path: str) -> int | None:
        """Return the status of a GET, None if the server does not answer."""
        try:
            return self._ask("GET", path, None)[0]
        except (OSError, HTTPException):
            return None

    def read(self, path: str) -> str:
        """Return the text of the answer to a GET.

        Raises:
            ServerError: the status is not 200.
        """
        return self._demand("GET", path, None).decode()

    def post(self, path: str, body: str) -> Any:
        """Post JSON and return the JSON of the answer.

        Raises:
            ServerError: the status is not 200.
        """
        return json.loads(self._demand("POST", path, body))

    def memory(self) -> float:
        """Return its resident memory in MiB: see `measure_memory`."""
        return measure_memory(self._processes())

    def memory_by_process(self) -> list[float]:
        """Return the resident memory of each of its processes in MiB, the largest first.

        A shared page counts for each process, so the sum is more than `memory`.
        """
        found = []
        for process in self._processes():
            with suppress(OSError):  # it has ended since
                rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
                found += [int(rss) / 1024 for rss in re.findall(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)]
        return sorted(found, reverse=True)

    def wait_for(self, path: str, poll_seconds: float = 0.2, limit: float = _READY_SECONDS) -> float:
        """Wait until a GET is answered with 200, and return the seconds since the start of the process.

        Raises:
            ServerError: the server has ended, or takes longer than `limit` seconds.
        """
        while (seconds := time.monotonic() - self._started) < limit:
            self.check_alive()
            if self.get(path) == 200:
                return time.monotonic() - self._started
            time.sleep(poll_seconds)
        raise ServerError(f"{path} is not answered with 200 within {seconds:.0f} s\n{self.read_log()}")

    def check_alive(self) -> None:
        """Raise an error if the server has ended.

        Raises:
            ServerError: with the last lines of its log.
        """
        if (status := self.process.poll()) is not None:
            raise ServerError(f"ended with status {status}\n{self.read_log()}")

    def settle(self) -> float:
        """Wait until it is idle: all its processes are loaded, and the work of the last load is finished.

        Returns the time since it is idle, in seconds from the start of the process, to a few tenths.

        Raises:
            ServerError: it does not become idle, or has ended.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        quiet, since = 0, 0.0
        while time.monotonic() < deadline:
            self.check_alive()
            before, start = self._processor_seconds(), time.monotonic()
            time.sleep(0.2)
            is_quiet = self._processor_seconds() - before < _IDLE_SHARE * (time.monotonic() - start)
            quiet = quiet + 1 if is_quiet else 0
            if quiet == 1:
                since = start - self._started
            if quiet == _QUIET_LOOKS:
                return since
        raise ServerError(f"still busy {_SETTLE_SECONDS} s after the load ended")

    def read_log(self) -> str:
        """Return the last lines of its output."""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-_LOG_LINES:])

    def stop(self) -> None:
        """End it and all its processes; kill them if SIGTERM does not help or the wait is interrupted."""
        try:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline and self._processes():
                time.sleep(0.1)
                self.process.poll()
        finally:
            while processes := self._processes():
                for process in processes:
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                time.sleep(0.1)
                self.process.poll()

    def _demand(self, method: str, path: str, body: str | None) -> bytes:
        try:
            status, answer = self._ask(method, path, body)
        except (OSError, HTTPException) as error:
            raise ServerError(f"{method} {path}: {error!r}\n{self.read_log()}") from error
        if status != 200:
            raise ServerError(f"{method} {path}: {status} {answer[:500]!r}\n{self.read_log()}")
        return answer

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self.port, timeout=_ASK_SECONDS)
        try:
            connection.request(method, path, body and body.encode(), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _processes(self) -> set[int]:
        return _list_descendants(os.getpid(), self.process.pid) - self._others

    def _processor_seconds(self) -> float:
        return sum(_read_processor_ticks(process) for process in self._processes()) / _TICKS


@contextmanager
def serve(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    port: int,
    ready_path: str,
    poll_seconds: float = 0.2,
    limit: float = _READY_SECONDS,
) -> Iterator[Server]:
    """Run a server while the block runs, which begins once a GET of `ready_path` is answered with 200.

    Other processes of it may still be loading: `Server.settle` waits for them.

    Raises:
        ServerError: it dies, or is not ready within `limit` seconds; the message ends with the last lines of its log.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM to this process also stops the server
    # Orphans of the server become children of this process instead of init, so that all can be found.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = _list_descendants(os.getpid(), None)
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,  # several peers leave files in the working, home and temporary folders
            env={**environment, "TMPDIR": folder, "HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        server = Server(process, port, log, others)
        try:
            server.ready_seconds = server.wait_for(ready_path, poll_seconds, limit)
            yield server
        finally:
            server.stop()


def find_free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def measure_memory(processes: Iterable[int]) -> float:
    """Return the resident memory of processes in MiB; pages that they share count once.

    Pages shared with other programs count too, so that the figure does not depend on them.
    """
    kilobytes = 0
    files: dict[str, int] = {}  # resident kilobytes of each mapped part of a file
    for process in processes:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            mappings = Path(f"/proc/{process}/smaps").read_text()
        except OSError:  # it has ended since
            continue
        kilobytes += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", rollup, re.MULTILINE)))
        for part, resident in _list_mapped_files(mappings):
            files[part] = max(files.get(part, 0), resident)
    return (kilobytes + sum(files.values())) / 1024


def find_workers(supervisor: int) -> list[int]:
    """Return the numbers of the processes that a supervisor has started, the oldest first."""
    found = []
    for child in map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()):
        with suppress(OSError):  # it has ended since
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def _list_descendants(root: int, child: int | None) -> set[int]:
    """Return the living descendants of `root`; reap dead orphans, except `child`, whose owner waits for it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The name, in brackets, may contain spaces and brackets.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        process = int(folder.name)
        if state != "Z":
            children.setdefault(int(parent), []).append(process)
        elif int(parent) == root and process != child:
            os.waitpid(process, os.WNOHANG)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def _list_mapped_files(mappings: str) -> Iterator[tuple[str, int]]:
    """Yield each mapped part of a file of a process, and its resident kilobytes that come from the file."""
    for header, fields in re.findall(r"^[0-9a-f]+-[0-9a-f]+ \S+ (.*)\n((?:[A-Z].*\n)+)", mappings, re.MULTILINE):
        offset, _, _, *path = header.split(None, 3)
        if path and path[0].startswith("/") and not path[0].startswith(_SHARED_MEMORY):
            sizes = dict(re.findall(r"^(Rss|Anonymous):\s+(\d+) kB", fields, re.MULTILINE))
            yield f"{path[0]} {offset}", int(sizes["Rss"]) - int(sizes["Anonymous"])


def _read_processor_ticks(process: int) -> int:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # utime and stime
