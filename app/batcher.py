"""The queue of one model: gathers rows of unequal lengths and runs them in batches.

While the engine is busy, rows gather; whenever it is free, the most urgent row is run, together with rows of a similar
length. So an idle service never waits, and a busy one runs the larger batches the more there is to do.

Who begins a batch, and where it runs:

- The event loop begins one when a worker is idle and no request has come for some of its passes (`_dispatch`). What it
  reads meanwhile makes the batch cheaper, and no core is idle. A lone row after a lone row is begun at once, and so is
  the first of as many as are compared when a batch is chosen.
- If the batch is the only one and short, it runs in the event loop's thread, as handing it over would cost about as
  much again, and so do the short ones after it while many rows wait and the time for this is not over (`_run_here`).
  In a flood that is as long as the event loop took before, so that refusing others never takes more time than
  answering does.
- All others run in threads of the engine (`_work`), which are those of all models; what is run is chosen when a thread
  is free. There a batch is followed by the next if there are rows for a largest one, so that an event loop that is
  flooded with requests holds nothing up.
"""

import asyncio
import math
import threading
import time
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Engine
from app.errors import TOO_LATE, DeadlineError, OverloadedError
from app.grouping import Grouping
from app.pace import LoopTime, Pace
from bundle.rows import Row

Output = NDArray[np.float32]

# So many of the most urgent rows are compared when a batch is chosen; with more, batches would hardly be better.
CANDIDATES = 64
# With rows for fewer than so many of the largest batches, there is little to choose from.
CHOICES = 2
# Requests still come if there was one within so many passes of the event loop: one reads it, the next begins with it.
QUIET_PASSES = 2
# So many passes are waited for at most, and if they take long, this time.
MOST_PASSES = 64
MOST_PASSES_SECONDS = 0.1
# In a flood a pass of the event loop takes longer than batches may take of its thread. Then batches are run as long as
# it took, but no longer than this.
MOST_INLINE_SECONDS = 0.2
# uvloop rounds to milliseconds, so that a timer may come early and is set once more.
MIN_TIMER_SECONDS = 0.001


@dataclass(eq=False, slots=True)
class _Request:
    """The rows of one request, which are answered together."""

    deadline: float
    future: asyncio.Future[list[Output]]
    outputs: list[Output]
    missing: int


@dataclass(eq=False, slots=True)
class _Entry:
    """One row in the queue, and its place among those of its request."""

    urgency: tuple[float, int]  # the deadline, and among equal ones the order of arrival
    steps: int
    index: int
    row: Row
    request: _Request


_urgency = attrgetter("urgency")
_NO_OUTPUT: Output = np.empty(0, np.float32)


class Batcher:
    """Runs rows on an engine, those of similar length together, the most urgent first."""

    def __init__(self, engine: Engine, executor: Executor, workers: int, capacity: int, loop_time: LoopTime) -> None:
        """Take the engine.

        Args:
            engine: what runs the rows.
            executor: where the engine is run.
            workers: batches that are run at a time.
            capacity: rows that may wait.
            loop_time: what batches may take of the event loop's thread, and those of other models have.
        """
        self._engine = engine
        self._grouping = Grouping(engine.batch_rows)
        self._executor = executor
        self._workers = workers
        self._capacity = capacity
        self._loop_time = loop_time
        self._lock = threading.Lock()  # of the queue and the number of batches that are run
        self._queue: list[_Entry] = []  # the most urgent first
        self._running = 0
        self._scheduled_at: float | None = None  # since when a worker is idle, if there is something to run
        self._spent_before = 0.0  # of the loop's time by batches, at that time
        self._arrivals = 0  # of rows, and as often as a request was told that there is a place
        self._had_no_place = False  # the newest request
        self._reserved = 0  # places in the queue for rows that are still being prepared
        self._pace = Pace()
        self._newest_rows = 0  # of the newest batch
        self._open: set[_Request] = set()  # all that are not answered
        self._timer: asyncio.Handle | None = None  # until the first of their deadlines
        self._timer_at = math.inf

    async def run(self, rows: Sequence[Row], deadline: float) -> list[Output]:
        """Return the engine's outputs for the rows of one request, float32 [outputs] each.

        A cancelled call gives its places in the queue back.

        Args:
            rows: not padded, each [steps].
            deadline: when the answer is worth nothing any more, in `time.monotonic`.

        Raises:
            OverloadedError: the rows have no place in the queue, or would wait there past the deadline.
            DeadlineError: the deadline has passed; what had not been run is not run.
        """
        self.admit(len(rows), deadline)
        loop = asyncio.get_running_loop()
        request = _Request(deadline, loop.create_future(), [_NO_OUTPUT] * len(rows), len(rows))
        self._put(
            _Entry((deadline, self._arrivals + index), self._engine.count_steps(row), index, row, request)
            for index, row in enumerate(rows)
        )
        self._arrivals += len(rows)
        self._open.add(request)
        try:
            self._set_timer(loop, deadline)
            self._schedule(loop)
            return await request.future
        finally:
            self._open.remove(request)
            if request.missing:
                with self._lock:
                    self._queue = [entry for entry in self._queue if entry.request is not request]
            del request  # which knows the error that is raised, and the error this frame: neither would ever go

    def admit(self, rows: int, deadline: float) -> None:
        """Return if so many rows have a place in the queue.

        Raises:
            OverloadedError, DeadlineError: see `run`.
        """
        seconds = deadline - time.monotonic()
        waiting = len(self._queue) + self._reserved
        if seconds <= 0:
            raise DeadlineError("the deadline had passed before the request was queued; allow it more time")
        self._had_no_place = True
        if waiting + rows > self._capacity:
            raise OverloadedError(
                f"{waiting} texts are waiting, and at most {self._capacity} may; {rows} more have no place",
                (waiting + rows) * self._pace.row_seconds,
            )
        with self._lock:
            before = bisect_right(self._queue, (deadline, math.inf), key=_urgency)
        wait = (before + rows) * self._pace.row_seconds
        if before and wait > seconds:
            raise OverloadedError(
                f"{before} texts are to be answered before, which takes about {wait:.1f} s, the request has "
                f"{seconds:.1f} s",
                wait,
            )
        self._arrivals += 1
        self._had_no_place = False

    @property
    def is_refusing(self) -> bool:
        """Whether the newest request had no place in a queue in which there still is something."""
        return self._had_no_place and bool(self._queue or self._reserved)

    @contextmanager
    def reserve(self, rows: int, deadline: float) -> Iterator[None]:
        """Keep places in the queue while the block prepares rows.

        Raises:
            OverloadedError, DeadlineError: see `run`.
        """
        self.admit(rows, deadline)
        self._reserved += rows
        try:
            yield
        finally:
            self._reserved -= rows

    def _set_timer(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """See to it that requests are looked through when this deadline has passed, if not before."""
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = loop.call_later(max(MIN_TIMER_SECONDS, deadline - time.monotonic()), self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer the requests whose deadline has passed."""
        self._timer, self._timer_at = None, math.inf
        now = time.monotonic()
        for request in self._open:
            if not request.future.done():
                if request.deadline <= now:
                    request.future.set_exception(DeadlineError(TOO_LATE))
                else:
                    self._set_timer(loop, request.deadline)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that idle workers are started, if there is something to run."""
        if self._queue and self._scheduled_at is None and self._running < self._workers:
            self._scheduled_at, self._spent_before = time.monotonic(), self._loop_time.spent
            loop.call_soon(self._dispatch, loop, self._arrivals, QUIET_PASSES, MOST_PASSES)

    def _dispatch(self, loop: asyncio.AbstractEventLoop, arrivals: int, quiet: int, passes: int) -> None:
        """Start the workers that are idle, once no more requests have come for some passes of the loop.

        A single row does not wait if the one before was single too.
        """
        assert self._scheduled_at is not None
        waited = time.monotonic() - self._scheduled_at
        is_lone_again = len(self._queue) == 1 and self._newest_rows == 1
        is_enough = is_lone_again or len(self._queue) >= min(CANDIDATES, self._capacity)
        if quiet and passes and not is_enough and waited < MOST_PASSES_SECONDS:
            quiet = quiet - 1 if arrivals == self._arrivals else QUIET_PASSES
            loop.call_soon(self._dispatch, loop, self._arrivals, quiet, passes - 1)
            return
        self._scheduled_at = None
        with self._lock:
            batch = [] if self._running else self._take_batch()
            is_for_here = bool(batch) and self._is_short(batch) and (self._workers == 1 or not self._queue)
            if is_for_here:
                self._running = 1
        if is_for_here:
            elsewhere = waited - (self._loop_time.spent - self._spent_before)  # else models would drive each other up
            self._run_here(loop, batch, max(self._loop_time.most, min(elsewhere, MOST_INLINE_SECONDS)))
        else:
            self._put(batch)
            self._start_workers(loop)

    def _start_workers(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have as many threads of the engine as are idle look for what to run."""
        with self._lock:
            idle = min(self._workers - self._running, len(self._queue))
            self._running += idle
        for _ in range(idle):
            self._executor.submit(self._work, loop)

    def _is_short(self, batch: Sequence[_Entry]) -> bool:
        """Return whether a batch can be run in the event loop's thread; the first one of all is measured elsewhere."""
        return 0 < self._pace.cost_seconds * self._cost(batch) <= self._loop_time.most

    def _cost(self, batch: Sequence[_Entry]) -> float:
        return self._grouping.cost([entry.steps for entry in batch])

    def _run_here(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Entry], seconds: float) -> None:
        """Run a batch in the event loop's thread, and what waits after it, but begin nothing once the time is over.

        Requests are read, and their answers written, many at a time, which costs less than in between. But once few
        rows are left, those that have come meanwhile are read first: the batches of few are small, or of rows that are
        less alike.
        """
        few = CHOICES * self._grouping.largest
        begun = time.monotonic()
        while batch and self._is_short(batch):
            self._finish(loop, batch, *self._run_rows([entry.row for entry in batch]))
            with self._lock:
                goes_on = len(self._queue) >= few and time.monotonic() < begun + seconds
                batch = self._take_batch() if goes_on else []
        self._loop_time.spent += time.monotonic() - begun
        with self._lock:
            self._running -= 1
        if batch:
            self._put(batch)
            self._start_workers(loop)
        else:
            self._schedule(loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run a batch in a thread of the engine, and go on if there is a largest one's worth of rows.

        Less than that is left to the event loop, as it may be about to add rows.
        """
        with self._lock:
            batch = self._take_batch()
            if not batch:
                self._running -= 1
                return
        outcome = self._run_rows([entry.row for entry in batch])
        with self._lock:
            goes_on = len(self._queue) >= self._grouping.largest
            if not goes_on:
                self._running -= 1
        loop.call_soon_threadsafe(self._finish, loop, batch, *outcome)
        del batch, outcome  # an error of the engine knows this frame: see `run`
        if goes_on:
            self._executor.submit(self._work, loop)  # behind what other models have submitted

    def _run_rows(self, rows: Sequence[Row]) -> tuple[NDArray[np.float32] | Exception, float]:
        """Return the outputs, or the error that the engine ended with, and the seconds it took."""
        started = time.perf_counter()
        try:
            outputs = self._engine.run(rows)
        except Exception as error:
            return error, 0.0
        return outputs, time.perf_counter() - started

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[_Entry],
        outputs: NDArray[np.float32] | Exception,
        seconds: float,
    ) -> None:
        """Answer the requests whose last rows these were."""
        self._newest_rows = len(batch)
        if isinstance(outputs, Exception):
            self._pace.pause()
        else:
            self._pace.note(len(batch), self._cost(batch), seconds, rows_wait=bool(self._queue))
        for place, entry in enumerate(batch):
            request = entry.request
            if request.future.done():
                continue
            if isinstance(outputs, Exception):
                failure = RuntimeError("the engine failed on the batch of this request")  # each request its own
                failure.__cause__ = outputs
                request.future.set_exception(failure)
                continue
            request.outputs[entry.index] = outputs[place]
            request.missing -= 1
            if not request.missing:
                request.future.set_result(request.outputs)
        self._schedule(loop)

    def _put(self, entries: Iterable[_Entry]) -> None:
        """Put rows into the queue, or back into it."""
        with self._lock:
            for entry in entries:
                insort(self._queue, entry, key=_urgency)

    def _take_batch(self) -> list[_Entry]:
        """Take the most urgent row from the queue, and what is best run with it.

        What is too late or has nobody left who waits is dropped. The caller holds the lock.
        """
        now = time.monotonic()
        candidates: list[_Entry] = []
        end = 0
        for entry in self._queue:
            if len(candidates) == CANDIDATES:
                break
            end += 1
            if not entry.request.future.done() and entry.urgency[0] > now:
                candidates.append(entry)
        batch = [candidates[place] for place in self._grouping.choose([entry.steps for entry in candidates])]
        taken = set(batch)
        self._queue[:end] = [entry for entry in candidates if entry not in taken]
        if not batch:
            self._pace.pause()
        return batch
