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

import numpy as np
from numpy.typing import NDArray

from app.engines.base import Engine
from app.errors import TOO_LATE, DeadlineError
from app.runtime.grouping import Grouping
from app.runtime.pace import LoopTime, Pace
from app.runtime.queue import CANDIDATES, Entry, Output, Permit, Queue, Request
from bundle.rows import Row

# A batch starts when this many passes of the event loop have brought no more rows: one pass reads a request, the next
# one queues its rows. In an idle loop two passes take microseconds.
QUIET_PASSES = 2
# The event loop gives batches as much time as other work has just taken, above all the rejection of a flood. So batches
# get at least half of the time. But after this time at most, the event loop answers others, such as health checks.
MOST_INLINE_SECONDS = 0.05

logger = logging.getLogger(__name__)

_NO_OUTPUT: Output = np.empty(0, np.float32)


class Batcher:
    """Runs rows on an engine, those of similar length together, the most urgent first."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        capacity: int,
        loop_time: LoopTime,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the engine.

        Args:
            engine: runs the rows.
            executor: runs batches that are long.
            capacity: rows that may wait.
            loop_time: how long batches may take in the event loop's thread.
            clock: returns the time in seconds, as deadlines have it.
        """
        self._engine = engine
        self._executor = executor
        self._queue = Queue(capacity)
        self._grouping = Grouping(engine.batch_rows)
        self._pace = Pace(clock)
        self._loop_time = loop_time
        self._clock = clock
        self._working: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows that have a permit and have not run."""
        return self._queue.waiting

    def admit(self, rows: int, deadline: float) -> Permit:
        """Return a permit for the rows of one request; see `Queue.admit`.

        Raises:
            OverloadedError: there is no place for them, or they would wait past the deadline.
            DeadlineError: the deadline has passed.
        """
        now = self._clock()
        if deadline <= now:
            raise DeadlineError("the deadline passed before the request was queued; allow it more time")
        return self._queue.admit(rows, deadline, now, self._pace.row_seconds)

    async def run(self, rows: Sequence[Row], permit: Permit) -> list[Output]:
        """Return the engine's outputs for the rows that a permit is for, float32 [outputs] each.

        A cancelled call drops its rows.

        Raises:
            DeadlineError: the deadline has passed; rows that have not run will not.
            RuntimeError: the engine failed.
        """
        loop = asyncio.get_running_loop()
        request = Request(permit, loop.create_future(), [_NO_OUTPUT] * len(rows), len(rows))
        now = self._clock()
        self._queue.put(request, rows, [self._engine.count_steps(row) for row in rows], now)
        timer = loop.call_later(permit.deadline - now, _expire, request)
        if self._working is None:
            # Without the context of this request: its id would stand in log lines about others.
            self._working = loop.create_task(self._work(), context=Context())
        try:
            return await request.future
        finally:
            timer.cancel()
            self._queue.remove(request)
            # They refer to the error, and the error to this frame: only the garbage collector would free the cycle.
            del request, timer

    async def _work(self) -> None:
        """Run batches until no rows wait."""
        try:
            while self._queue:
                begun, spent = self._clock(), self._loop_time.spent
                await self._gather()
                # Without the batches of other models: otherwise models would lengthen the time of each other.
                elsewhere = self._clock() - begun - (self._loop_time.spent - spent)
                await self._run_batches(min(elsewhere, MOST_INLINE_SECONDS))
        finally:
            self._working = None
            self._pace.pause()

    async def _gather(self) -> None:
        """Wait until some passes of the event loop have brought no more rows."""
        quiet, arrived = 0, self._queue.arrived
        while quiet < QUIET_PASSES and len(self._queue) < CANDIDATES:
            await asyncio.sleep(0)
            quiet = quiet + 1 if arrived == self._queue.arrived else 0
            arrived = self._queue.arrived

    async def _run_batches(self, seconds: float) -> None:
        """Run one batch in a thread, or short ones here for a time."""
        end = self._clock() + seconds
        while batch := self._queue.take(self._grouping, self._clock()):
            rows = [entry.row for entry in batch]
            if not self._is_short(batch):
                loop = asyncio.get_running_loop()
                self._finish(batch, *await loop.run_in_executor(self._executor, self._run_rows, rows))
                return
            outputs, took = self._run_rows(rows)
            self._loop_time.spent += took
            self._finish(batch, outputs, took)
            if self._clock() >= end:
                return

    def _is_short(self, batch: Sequence[Entry]) -> bool:
        """Return whether a batch runs in the event loop's thread; not the first one, whose time is unknown."""
        return 0 < self._pace.cost_seconds * self._cost(batch) <= self._loop_time.most

    def _cost(self, batch: Sequence[Entry]) -> float:
        return self._grouping.cost([entry.steps for entry in batch])

    def _run_rows(self, rows: Sequence[Row]) -> tuple[NDArray[np.float32] | Exception, float]:
        """Return the outputs, or the error that the engine raised, and the seconds it took."""
        started = self._clock()
        try:
            outputs = self._engine.run(rows)
            if len(outputs) != len(rows):
                raise RuntimeError(f"the engine answered {len(outputs)} of {len(rows)} rows")
        except Exception as error:
            logger.exception("the engine failed")
            # Its frames refer to the batch, whose requests will refer to the error: a cycle, as in `run`.
            return error.with_traceback(None), 0.0
        return outputs, self._clock() - started

    def _finish(self, batch: Sequence[Entry], outputs: NDArray[np.float32] | Exception, seconds: float) -> None:
        """Answer the requests whose last rows were in a batch."""
        if isinstance(outputs, Exception):
            self._pace.pause()
            for entry in batch:
                if not entry.request.future.done():
                    failure = RuntimeError("the engine failed on the batch of this request")  # each request its own
                    failure.__cause__ = outputs
                    entry.request.future.set_exception(failure)
            return
        self._pace.note(len(batch), self._cost(batch), seconds, rows_wait=bool(self._queue))
        for place, entry in enumerate(batch):
            request = entry.request
            request.outputs[entry.index] = outputs[place]
            request.missing -= 1
            if not request.missing and not request.future.done():
                request.future.set_result(request.outputs)


def _expire(request: Request) -> None:
    """Answer a request whose deadline has passed."""
    if not request.future.done():
        request.future.set_exception(DeadlineError(TOO_LATE))
