"""The processes of one service: a supervisor starts, watches, replaces and ends them, and does nothing else.

It never waits for a single worker, so a worker that hangs delays neither other workers nor signals.

A worker that hangs is killed, and one that the machine does not let run is not: the seconds in which it waits for a
processor do not count.
"""

import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from enum import Enum
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from app.container import count_memory_kills, read_memory_limit
from app.processes.processor import Use, read_use

# A worker has to answer within this time, in which it could run. TensorFlow takes 20 s to load, and more on a slow
# machine.
START_SECONDS = 120
# A worker reports this often. A worker that was listening and has not reported for `SILENT_SECONDS`, in which it could
# run, hangs.
REPORT_SECONDS = 1
SILENT_SECONDS = 5
# A worker that ended by itself is replaced at once, the next one after a pause, which doubles each time. The pause is
# reset when a worker has answered for longer than the longest pause.
SHORTEST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30

# Signals that a terminal sends to every process. A worker starts with them blocked, and then ignores them: only the
# supervisor acts on them.
HELD_SIGNALS = frozenset({signal.SIGINT, signal.SIGHUP})

_TICK_SECONDS = 0.1
# Between two looks at a worker at most this time counts. If more has passed, the supervisor could not run itself, and
# workers may have had no more luck.
_MOST_COUNTED_SECONDS = 2 * _TICK_SECONDS
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}


class State(Enum):
    """The state that a worker reports every `REPORT_SECONDS`."""

    STARTING = 0
    UNREADY = 1  # it answers, but not with all models that readiness needs
    READY = 2


# The function that a worker runs, with the socket to listen on and the connection on which it reports its `State`.
Target = Callable[[socket.socket, Connection], None]

logger = logging.getLogger("app")


class Worker:
    """One process that answers requests, as its supervisor sees it."""

    def __init__(self, target: Target, listener: socket.socket) -> None:
        """Start the process, which listens on a bound socket."""
        context = multiprocessing.get_context("spawn")
        self.connection, others = context.Pipe()
        # A daemon, so that a supervisor that fails ends its workers instead of waiting for them.
        self._process = context.Process(target=target, args=[listener, others], daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)  # new processes inherit it
        try:
            resource_tracker.ensure_running()  # Python's own process beside the workers; its start unblocks SIGINT
            signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            others.close()  # so that each side sees the end of the other one
        self.listener = listener.dup()
        self._is_killed = False
        self.started_at = self._heard_at = time.monotonic()
        self.seconds = 0.0  # since its start, in which it could run
        self._heard_at_second = 0.0
        self._used = 0.0  # seconds of processors, at the last look
        self._has_waited = False  # it is late with a report, for want of a processor
        self.listening_at: float | None = None
        self.state = State.STARTING
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

    @property
    def silent_seconds(self) -> float:
        """The seconds since its last report in which it could run."""
        return self.seconds - self._heard_at_second

    def look(self, passed: float) -> None:
        """Count the seconds since the last look in which it could run, and read its reports.

        A worker that sleeps, or was stopped, could run all the time: it does nothing although the machine would let it.
        """
        use = read_use(self.pid) or Use(self._used, is_busy=False)
        used, self._used = use.seconds - self._used, use.seconds
        self.seconds += min(used, passed) if use.is_busy else passed
        self._read_reports()
        is_late = self.listening_at is not None and time.monotonic() - self._heard_at > SILENT_SECONDS
        if is_late and self.silent_seconds < SILENT_SECONDS / 2 and not self._has_waited:
            self._has_waited = True
            logger.warning("a worker waits for a processor, so its reports are late", extra={"pid": self.pid})

    def _read_reports(self) -> None:
        """Read its state, and note when it reported last."""
        try:
            while self.connection.poll():
                self.state = self.connection.recv()
                self._heard_at, self._heard_at_second = time.monotonic(), self.seconds
                self._has_waited = False
                if self.listening_at is None and self.state is not State.STARTING:
                    self.listening_at = self._heard_at
                    seconds = round(self.listening_at - self.started_at, 3)
                    fields = {"pid": self.pid, "seconds": seconds}
                    if self.state is State.READY:
                        logger.info("a worker is ready", extra=fields)
                    else:
                        logger.warning("a worker answers, but it is not ready", extra=fields)
        except (EOFError, OSError):
            pass  # it has ended, as its status says

    def end(self) -> None:
        """Ask it to finish the requests that have begun, and to end; it ends at once if it does not listen yet."""
        if self.ending_since is None:
            self.ending_since = time.monotonic()
            self._process.terminate()
            self.listener.close()  # nobody can connect once the process has closed it, too

    def kill(self, why: str) -> None:
        """End it at once, and log why; do nothing if it was killed before and waits for a disk."""
        if not self._is_killed:
            self._is_killed = True
            logger.error("a worker is killed: %s", why, extra={"pid": self.pid})
            self._process.kill()

    def close(self) -> None:
        """Release what is left of a process that has ended."""
        self._process.close()
        self.connection.close()
        self.listener.close()


class Supervisor:
    """Keeps a number of workers running until SIGTERM or SIGINT.

    SIGHUP replaces the workers one by one, each when its successor answers. Both listen on the same socket: if the old
    one closed a socket of its own, the connections in its queue would be lost. If a successor ends before it answers,
    or is not ready while an old worker is, the old workers stay.
    """

    def __init__(
        self,
        target: Target,
        open_listener: Callable[[], socket.socket],
        count: int,
        grace_seconds: float,
        look: Callable[[], None] | None = None,
    ) -> None:
        """Take what workers need.

        Args:
            target: the function that they run.
            open_listener: opens their sockets.
            count: how many there are.
            grace_seconds: the time that one has to end.
            look: is called several times a second; it renews what `target` hands to the next worker.
        """
        self._target = target
        self._open_listener = open_listener
        self._count = count
        self._grace_seconds = grace_seconds
        self._look = look
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._is_ending = False
        self._has_failed = False
        self._has_answered = False  # any of the workers
        self._pause_seconds = 0.0
        self._next_start = 0.0
        self._looked_at = self._unready_since = time.monotonic()
        self._is_ready = False
        self._kills = count_memory_kills()  # of this container, before the service started

    def run(self) -> int:
        """Supervise, and return the exit status: 0 after a signal, 1 if no worker could start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._signals.append(number))
        while self._workers or not self._is_ending:
            if self._look:
                self._look()
            self._start_missing()
            wait([worker.connection for worker in self._workers], _TICK_SECONDS)
            self._obey()  # before workers are looked at: the same signal may have ended them
            self._look_after()
            self._end_outdated()
            self._log_readiness()
        return int(self._has_failed)

    def _obey(self) -> None:
        """Act on the signals that have come since the last time."""
        while self._signals:
            number = self._signals.pop(0)
            action = "replacing the workers" if number == signal.SIGHUP else "shutting down"
            logger.info("received %s: %s", _SIGNAL_NAMES[number], action)
            if number == signal.SIGHUP:
                for worker in self._serving():
                    if worker.listening_at is None:
                        worker.end()  # otherwise each signal would add a process
                    worker.is_outdated = True
            else:
                self._end()

    def _end(self) -> None:
        self._is_ending = True
        for worker in self._workers:
            worker.end()

    def _serving(self, *, outdated: bool | None = None) -> list[Worker]:
        """Return the workers that are not ending: all of them, or only the outdated or the other ones."""
        return [
            worker for worker in self._workers if worker.ending_since is None and outdated in (None, worker.is_outdated)
        ]

    def _start_missing(self) -> None:
        """Start the workers that are missing; during a replacement, one at a time."""
        while not self._is_ending and time.monotonic() >= self._next_start:
            fresh, outdated = self._serving(outdated=False), self._serving(outdated=True)
            if len(fresh) >= self._count or (outdated and not all(worker.listening_at for worker in fresh)):
                return
            is_successor = outdated and len(fresh) + len(outdated) >= self._count  # of the first one
            try:
                with outdated[0].listener.dup() if is_successor else self._open_listener() as listener:
                    self._workers.append(Worker(self._target, listener))
            except OSError as error:
                logger.error("a worker cannot be started: %s", error)
                self._pause()

    def _end_outdated(self) -> None:
        """End a worker whose successor answers; keep the old workers if the successor is not ready."""
        fresh = [worker for worker in self._serving(outdated=False) if worker.listening_at]
        outdated = self._serving(outdated=True)
        unready = [worker for worker in fresh if worker.state is State.UNREADY]
        if unready and any(worker.state is State.READY for worker in outdated):
            for worker in unready:
                worker.end()
            self._stop_replacing("is not ready")
        elif fresh:
            for worker in outdated[: max(0, len(fresh) + len(outdated) - self._count)]:
                worker.end()

    def _stop_replacing(self, why: str) -> None:
        """Keep the old workers, and log why their successor does not take their place."""
        logger.error("the new worker %s, so the old workers stay; the lines above have the reason", why)
        for worker in self._workers:
            worker.is_outdated = False

    def _look_after(self) -> None:
        """Read the reports of workers, kill workers that hang, and replace workers that have ended."""
        now = time.monotonic()
        passed = min(now - self._looked_at, _MOST_COUNTED_SECONDS)
        self._looked_at = now
        for worker in list(self._workers):
            worker.look(passed)
            self._has_answered = self._has_answered or worker.listening_at is not None
            if worker.status is not None:
                self._note_end(worker)
            elif worker.ending_since is not None and now - worker.ending_since > self._grace_seconds:
                worker.kill(f"it has not ended within {self._grace_seconds:g} s")
            elif worker.listening_at is None and worker.seconds > START_SECONDS:
                worker.kill(f"it did not answer within {START_SECONDS} s")
        self._kill_silent()

    def _kill_silent(self) -> None:
        """Kill the workers that hang; if all of them seem to, only the first one, until its successor answers."""
        answering = [worker for worker in self._workers if worker.listening_at is not None]
        silent = [worker for worker in answering if worker.silent_seconds > SILENT_SECONDS]
        if len(silent) == len(answering):
            silent = silent[:1] if len(answering) == len(self._workers) >= self._count else []
        for worker in silent:
            worker.kill(f"it has not reported for {SILENT_SECONDS} s")

    def _note_end(self, worker: Worker) -> None:
        """Forget a worker that has ended; pause before the next start if it ended by itself."""
        status, pid = worker.status, worker.pid
        assert status is not None
        self._workers.remove(worker)
        worker.close()
        if worker.ending_since is not None:
            return
        how = f"by {_SIGNAL_NAMES.get(-status, f'signal {-status}')}" if status < 0 else f"with status {status}"
        logger.error("a worker ended %s", how, extra={"pid": pid, "status": status})
        self._log_memory_kills()
        if self._serving(outdated=True) and not worker.is_outdated and not worker.listening_at:
            self._stop_replacing("ended before it answered")
        if status > 0 and not self._has_answered:
            logger.error("no worker can start; the lines above have the reason")
            self._has_failed = True
            self._end()
        if worker.listening_at and time.monotonic() - worker.listening_at > LONGEST_PAUSE_SECONDS:
            self._pause_seconds = 0.0
        self._pause()

    def _pause(self) -> None:
        """Start no worker for a while; the next pause is longer."""
        self._next_start = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(max(SHORTEST_PAUSE_SECONDS, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS)

    def _log_readiness(self) -> None:
        """Log when all workers become ready."""
        is_ready = sum(worker.state is State.READY for worker in self._serving()) >= self._count
        if is_ready and not self._is_ready:
            seconds = round(time.monotonic() - self._unready_since, 3)
            logger.info("the service is ready", extra={"workers": self._count, "seconds": seconds})
        elif self._is_ready and not is_ready:
            self._unready_since = time.monotonic()
        self._is_ready = is_ready

    def _log_memory_kills(self) -> None:
        """Log if the kernel has killed a process of this container for its memory."""
        kills = count_memory_kills()
        if kills > self._kills:
            self._kills = kills
            limit = read_memory_limit()
            logger.error(
                "memory ran out and a process was killed: the limit is %s; allow more, or set LSTM_SERVE_WORKERS to "
                "fewer processes",
                "that of the machine" if limit is None else f"{limit >> 20:,} MiB",
            )
