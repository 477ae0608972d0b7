"""Runs the rows of one model in batches: when a batch starts, and where it runs. `Queue` has the rows.

Rows gather while a batch runs, and as long as more come. So a busy service runs larger batches, and an idle one does
not wait. A short batch runs in the event loop's thread, because a change of threads takes about as long as the batch.
A long one runs in another thread, so that the service answers meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import Context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.access.caller import Caller
from app.engines.base import Engine
from app.errors import TOO_LATE, DeadlineError
from app.runtime.grouping import Grouping
from app.runtime.pace import LoopTime, Pace
from app.runtime.queue import CANDIDATES, Entry, Output, Permit, Queue, Request
from app.runtime.tally import Tally
from app.telemetry.metrics import ModelMetrics
from app.telemetry.traces import find_parts
from bundle.rows import Row

# A batch starts when this many passes of the event loop have brought no more rows: one pass reads a request, the next
# one queues its rows. In an idle loop two passes take microseconds.
QUIET_PASSES = 2
# The event loop gives batches as much time as other work has just taken, above all the rejection of a flood. So batches
# get at least half of the time. But after this time at most, the event loop answers others, such as health checks.
MOST_INLINE_SECONDS = 0.05

logger = logging.getLogger(__name__)

_NO_OUTPUT: Output = np.empty(0, np.float32)


class _Run(NamedTuple):
    """What the engine did with a batch.

    Attributes:
        outputs: float32 [rows, outputs]; or the error that the engine raised.
        started: when it began, in seconds on the clock of the batcher.
        seconds: that it took.
    """

    outputs: NDArray[np.float32] | Exception
    started: float
    seconds: float


class Batcher:
    """Runs rows on an engine, those of similar length together, the most urgent first."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        capacity: int,
        loop_time: LoopTime,
        metrics: ModelMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the engine.

        Args:
            engine: runs the rows.
            executor: runs batches that are long.
            capacity: rows that may wait.
            loop_time: how long batches may take in the event loop's thread.
            metrics: of the model.
            clock: returns the time in seconds, as deadlines have it.
        """
        self._engine = engine
        self._executor = executor
        self._queue = Queue(capacity, metrics)
        self._grouping = Grouping(engine.batch_rows)
        self._pace = Pace(clock)
        self._loop_time = loop_time
        self.metrics = metrics
        self._clock = clock
        self._is_busy = False  # a batch runs, or is about to
        self._scheduled_at = 0.0  # since when it is about to
        self._spent_before = 0.0  # of the event loop's time, by batches, at that time
        self.tally = Tally()

    @property
    def waiting(self) -> int:
        """Rows that have a permit and have not run."""
        return self._queue.waiting

    def admit(self, rows: int, deadline: float, caller: Caller | None = None) -> Permit:
        """Return a permit for the rows of one request of a client; see `Queue.admit`.

        Raises:
            OverloadedError: there is no place for them, or they would wait past the deadline.
            DeadlineError: the deadline has passed.
        """
        now = self._clock()
        if deadline <= now:
            self.metrics.note_deadline("admission")
            raise DeadlineError("the deadline passed before the request was queued; allow it more time")
        return self._queue.admit(rows, deadline, now, self._pace.row_seconds, caller)

    async def run(self, rows: Sequence[Row], permit: Permit) -> list[Output]:
        """Return the engine's outputs for the rows that a permit is for, float32 [outputs] each.

        A cancelled call drops its rows.

        Raises:
            BatchOverQuotaError: the rows are more than the client may send in a day.
            QuotaExceededError: the client has no texts left today.
            DeadlineError: the deadline has passed; rows that have not run will not.
            RuntimeError: the engine failed.
        """
        if permit.caller:
            permit.caller.count_texts(len(rows))
        loop = asyncio.get_running_loop()
        now = self._clock()
        parts = find_parts()
        request = Request(permit, loop.create_future(), [_NO_OUTPUT] * len(rows), len(rows), now, parts)
        self._queue.put(request, rows, [self._engine.count_steps(row) for row in rows], now)
        timer = loop.call_later(permit.deadline - now, self._expire, request)
        self._schedule(loop)
        is_answered = False
        try:
            outputs = await request.future
            is_answered = True
            return outputs
        finally:
            ended = self._clock()
            self.tally.note_request(ended - now, is_answered)
            if parts and permit.rows:  # some have not run
                parts.note("queue", now, ended)
            timer.cancel()
            self._queue.remove(request)
            if permit.caller and permit.rows:
                permit.caller.return_texts(permit.rows)
            # They refer to the error, and the error to this frame: only the garbage collector would free the cycle.
            del request, timer

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule a batch if rows wait and none runs."""
        if self._queue and not self._is_busy:
            self._is_busy = True
            self._scheduled_at, self._spent_before = self._clock(), self._loop_time.spent
            # Without the context of the first request: its id would stand in log lines about others. With a coroutine
            # instead of callbacks the service took 4 % more time.
            loop.call_soon(self._gather, loop, self._queue.arrived, QUIET_PASSES, context=Context())

    def _gather(self, loop: asyncio.AbstractEventLoop, arrived: int, quiet: int) -> None:
        """Start a batch once some passes of the event loop have brought no more rows."""
        if quiet and len(self._queue) < CANDIDATES:
            quiet = quiet - 1 if arrived == self._queue.arrived else QUIET_PASSES
            loop.call_soon(self._gather, loop, self._queue.arrived, quiet)
        else:
            self._start(loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run a batch, here or in a thread."""
        begun = self._clock()
        # Without the batches of other models: otherwise models would lengthen the time of each other.
        elsewhere = begun - self._scheduled_at - (self._loop_time.spent - self._spent_before)
        end = begun + min(elsewhere, MOST_INLINE_SECONDS)
        while batch := self._queue.take(self._grouping, self._clock()):
            if not self._is_short(batch):
                self._executor.submit(self._run_in_thread, loop, batch)
                return
            run = self._run_batch(batch)
            self._loop_time.spent += run.seconds
            self._finish(batch, run)
            if self._clock() >= end:
                break
        self._is_busy = False
        if not self._queue:
            self._pace.pause()
        self._schedule(loop)

    def _is_short(self, batch: Sequence[Entry]) -> bool:
        """Return whether a batch runs in the event loop's thread; not the first one, whose time is unknown."""
        return 0 < self._pace.cost_seconds * self._cost(batch) <= self._loop_time.most

    def _cost(self, batch: Sequence[Entry]) -> float:
        return self._grouping.cost([entry.steps for entry in batch])

    def _run_in_thread(self, loop: asyncio.AbstractEventLoop, batch: Sequence[Entry]) -> None:
        loop.call_soon_threadsafe(self._end_in_thread, loop, batch, self._run_batch(batch))

    def _end_in_thread(self, loop: asyncio.AbstractEventLoop, batch: Sequence[Entry], run: _Run) -> None:
        self._finish(batch, run)
        self._is_busy = False
        self._schedule(loop)

    def _run_batch(self, batch: Sequence[Entry]) -> _Run:
        """Run the rows of a batch."""
        outputs: NDArray[np.float32] | Exception
        started = self._clock()
        try:
            outputs = self._engine.run([entry.row for entry in batch])
            if len(outputs) != len(batch):
                raise RuntimeError(f"the engine answered {len(outputs)} of {len(batch)} rows")
        except Exception as error:
            logger.exception("the engine failed")
            # Its frames refer to the batch, whose requests will refer to the error: a cycle, as in `run`.
            outputs = error.with_traceback(None)
        return _Run(outputs, started, self._clock() - started)

    def _finish(self, batch: Sequence[Entry], run: _Run) -> None:
        """Answer the requests whose last rows were in a batch."""
        outputs, started, seconds = run
        for entry in batch:
            if entry.request.parts:
                entry.request.parts.note("engine", started, started + seconds, len(batch))
        if isinstance(outputs, Exception):
            self._pace.pause()
            for entry in batch:
                if entry.request.permit.caller:
                    entry.request.permit.caller.return_texts(1)
                if not entry.request.future.done():
                    failure = RuntimeError("the engine failed on the batch of this request")  # each request its own
                    failure.__cause__ = outputs
                    entry.request.future.set_exception(failure)
            return
        self._pace.note(len(batch), self._cost(batch), seconds, rows_wait=bool(self._queue))
        waited = sum(started - entry.request.queued_at for entry in batch)
        self.tally.note_batch(len(batch), seconds, waited)
        self.metrics.note_batch([entry.steps for entry in batch], seconds)
        for place, entry in enumerate(batch):
            request = entry.request
            request.outputs[entry.index] = outputs[place]
            request.missing -= 1
            if not request.missing and not request.future.done():
                request.future.set_result(request.outputs)

    def _expire(self, request: Request) -> None:
        """Answer a request whose deadline has passed."""
        if not request.future.done():
            self.metrics.note_deadline("queue")
            request.future.set_exception(DeadlineError(TOO_LATE))
