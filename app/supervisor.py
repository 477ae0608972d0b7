"""The processes of one service: started, watched, replaced and ended by a process that does nothing else.

It never waits for one of them. What each has reported, and how long it has been silent, is looked at in turn.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from app.limits import read_memory

# A worker has to be ready within this time. TensorFlow takes 20 s to load, and more on a slow machine.
START_SECONDS = 120
# A worker reports this often. One that was ready and is silent for much longer hangs.
REPORT_SECONDS = 1
SILENT_SECONDS = 5
# A worker that ended by itself is replaced after a pause. It doubles, until a worker is ready for the longest pause.
SHORTEST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30

_TICK_SECONDS = 0.1
_KILLED_SECONDS = 1  # a process is gone at once, unless it waits for a disk

# What a worker runs, and where it says every `REPORT_SECONDS` whether it is ready.
Target = Callable[[Connection], None]

logger = logging.getLogger("app")


class Worker:
    """One process that answers requests, as its supervisor sees it."""

    def __init__(self, target: Target) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.connection, others = context.Pipe()
        self._process = context.Process(target=target, args=[others])
        self._process.start()
        others.close()  # each side has to see when the other one is gone
        self.started_at = self.heard_at = time.monotonic()
        self.ready_at: float | None = None
        self.ending_since: float | None = None
        self.is_outdated = False  # a successor is to take its place

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def read_reports(self) -> None:
        """Note when it reported last, and since when it is ready."""
        try:
            while self.connection.poll():
                is_ready = self.connection.recv()
                self.heard_at = time.monotonic()
                if is_ready and self.ready_at is None:
                    self.ready_at = self.heard_at
                    seconds = round(self.ready_at - self.started_at, 3)
                    logger.info("a worker is ready", extra={"pid": self.pid, "seconds": seconds})
        except (EOFError, OSError):
            pass  # it has ended, as its status says

    def end(self) -> None:
        """Tell it to answer what it has begun, and to end; it ends at once if it is not ready."""
        if self.ending_since is None:
            self.ending_since = time.monotonic()
            if self.ready_at is None:
                self._process.kill()
            else:
                self._process.terminate()

    def kill(self, why: str) -> None:
        """End it at once, and log why."""
        logger.error("a worker is killed: %s", why, extra={"pid": self.pid})
        self._process.kill()
        self._process.join(_KILLED_SECONDS)

    def close(self) -> None:
        """Release what is left of a process that has ended."""
        self._process.close()
        self.connection.close()


class Supervisor:
    """Keeps a number of workers running until SIGTERM or SIGINT asks it to stop.

    SIGHUP replaces the workers one by one, each when its successor is ready.
    """

    def __init__(self, target: Target, count: int, grace_seconds: float) -> None:
        """Take what workers run, how many there are, and how long one may take to end."""
        self._target = target
        self._count = count
        self._grace_seconds = grace_seconds
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._is_ending = False
        self._has_failed = False
        self._was_ready = False  # any of the workers
        self._pause_seconds = 0.0
        self._next_start = 0.0
        self._looked_at = time.monotonic()
        self._kills = read_memory()[1]  # of this container, before there was anything of the service in it

    def run(self) -> int:
        """Supervise, and return the exit status: 0 if it was told to end, 1 if no worker could start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._signals.append(number))
        while self._workers or not self._is_ending:
            self._start_missing()
            wait([worker.connection for worker in self._workers], _TICK_SECONDS)
            self._obey()  # before workers are looked at: the same signal may have ended them
            self._look_after()
            self._end_outdated()
        return int(self._has_failed)

    def _obey(self) -> None:
        """Do what signals have told since the last time."""
        while self._signals:
            number = self._signals.pop(0)
            logger.info("told by %s to %s", signal.Signals(number).name, "renew" if number == signal.SIGHUP else "end")
            if number == signal.SIGHUP:
                for worker in self._serving():
                    if worker.ready_at is None:
                        worker.end()  # else each signal would add one
                    worker.is_outdated = True
            else:
                self._end()

    def _end(self) -> None:
        self._is_ending = True
        for worker in self._workers:
            worker.end()

    def _serving(self, *, outdated: bool | None = None) -> list[Worker]:
        """Return the workers that were not told to end: all, or those that are to be replaced, or the others."""
        return [
            worker for worker in self._workers if worker.ending_since is None and outdated in (None, worker.is_outdated)
        ]

    def _start_missing(self) -> None:
        """Start what is missing; while workers are replaced, one at a time."""
        while not self._is_ending and time.monotonic() >= self._next_start:
            fresh, outdated = self._serving(outdated=False), self._serving(outdated=True)
            if len(fresh) == self._count or (outdated and not all(worker.ready_at for worker in fresh)):
                return
            self._workers.append(Worker(self._target))

    def _end_outdated(self) -> None:
        """End a worker whose successor is ready."""
        ready = [worker for worker in self._serving(outdated=False) if worker.ready_at]
        for worker in self._serving(outdated=True)[: max(0, len(self._serving()) - self._count)]:
            if ready:
                worker.end()

    def _look_after(self) -> None:
        """Read what workers report, kill those that hang, and note those that have ended."""
        now = time.monotonic()
        was_paused = now - self._looked_at > SILENT_SECONDS  # with the whole machine: the workers were not heard either
        self._looked_at = now
        for worker in list(self._workers):
            worker.read_reports()
            self._was_ready = self._was_ready or worker.ready_at is not None
            if was_paused:
                worker.heard_at = now
            if worker.status is not None:
                self._note_end(worker)
            elif worker.ending_since is not None and now - worker.ending_since > self._grace_seconds:
                worker.kill(f"it has not ended within {self._grace_seconds:g} s")
            elif worker.ready_at is None and now - worker.started_at > START_SECONDS:
                worker.kill(f"it was not ready within {START_SECONDS} s")
            elif worker.ready_at is not None and now - worker.heard_at > SILENT_SECONDS:
                worker.kill(f"it has not reported for {SILENT_SECONDS} s")

    def _note_end(self, worker: Worker) -> None:
        """Take an ended worker off the list; one that was not told to end is replaced after a pause."""
        status, pid = worker.status, worker.pid
        assert status is not None
        self._workers.remove(worker)
        worker.close()
        if worker.ending_since is not None:
            return
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        logger.error("a worker ended %s", how, extra={"pid": pid, "status": status})
        self._tell_of_memory()
        for other in self._workers:  # a successor that does not start must not cost the service its workers
            other.is_outdated = False
        if status >= 0 and not self._was_ready:
            logger.error("no worker can start; the reason stands above")
            self._has_failed = True
            self._end()
        if worker.ready_at and time.monotonic() - worker.ready_at > LONGEST_PAUSE_SECONDS:
            self._pause_seconds = 0.0
        self._next_start = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(max(SHORTEST_PAUSE_SECONDS, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS)

    def _tell_of_memory(self) -> None:
        """Log it if the kernel has killed a process of this container."""
        limit, kills = read_memory()
        if kills > self._kills:
            self._kills = kills
            logger.error(
                "memory ran out and a process was killed: the limit is %s; allow more, or set LSTM_SERVE_WORKERS to "
                "fewer processes",
                limit,
            )
