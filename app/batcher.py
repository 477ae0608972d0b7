"""The queue of one model: gathers rows of unequal lengths and runs them in batches.

While the engine is busy, rows gather; whenever it is free, the most urgent row is run at once, together with rows of a
similar length. So an idle service never waits, and a busy one runs the larger batches the more there is to do.

The engine's threads are started by the event loop's thread, where everything else happens, once it has read all that
had come. A single row that takes little time is run there too, as handing it over would cost about as much again.
"""

import asyncio
import math
import threading
import time
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from app.errors import TOO_LATE, DeadlineError, OverloadedError

Row = NDArray[np.generic]
Output = NDArray[np.float32]
RunRows = Callable[[Sequence[Row]], NDArray[np.float32]]

# No row of a batch is filled up with padding by more than this share of the longest row.
PADDING_SHARE = 0.25
# What a batch costs besides its steps, in steps: about 0.1 ms, and 1.6 microseconds a step (benchmarks/engine.py).
FIXED_STEPS = 64
# A batch is filled up to the next size of the engine if at least this share of it are rows.
FILLED_SHARE = 0.75
# A single row is run in the event loop's thread if rows take no longer than this: meanwhile nothing else is answered.
INLINE_SECONDS = 0.001
# Weight of the newest batch in the measured time of a row.
NEWEST_WEIGHT = 0.1


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
    steps: int  # what running it alone costs
    index: int
    row: Row
    request: _Request


_urgency = attrgetter("urgency")
_NO_OUTPUT: Output = np.empty(0, np.float32)


class Batcher:
    """Runs rows on an engine, those of similar length together, the most urgent first."""

    def __init__(
        self,
        run: RunRows,
        batch_sizes: Sequence[int],
        executor: Executor,
        workers: int,
        capacity: int,
        inline_seconds: float = INLINE_SECONDS,
    ) -> None:
        """Take the engine.

        Args:
            run: unpadded rows, each [steps, ...], to float32 [rows, outputs]; called in any thread.
            batch_sizes: numbers of rows that the engine runs without filling up, ascending.
            executor: where the engine is run.
            workers: batches that are run at a time.
            capacity: rows that may wait.
            inline_seconds: what a row may take at most to be run in the event loop's thread.
        """
        self._run = run
        self._batch_sizes = tuple(batch_sizes)
        self._executor = executor
        self._workers = workers
        self._capacity = capacity
        self._inline_seconds = inline_seconds
        self._lock = threading.Lock()  # of the queue and the number of batches that are run
        self._queue: list[_Entry] = []  # the most urgent first
        self._running = 0
        self._scheduled = False
        self._arrivals = 0
        self._row_seconds = 0.0  # what a row takes, over the batches of late
        self._rows = 0  # of the newest batch
        self._open: set[_Request] = set()  # all that are not answered
        self._timer: asyncio.TimerHandle | None = None  # until the first of their deadlines

    async def run(self, rows: Sequence[Row], deadline: float) -> list[Output]:
        """Return the engine's outputs for the rows of one request, float32 [outputs] each.

        A cancelled call gives its places in the queue back.

        Args:
            rows: unpadded, each [steps, ...].
            deadline: when the answer is worth nothing any more, in `time.monotonic`.

        Raises:
            OverloadedError: the rows have no place in the queue, or would wait there past the deadline.
            DeadlineError: the deadline has passed; what had not been run is not run.
        """
        self.admit(len(rows), deadline)
        loop = asyncio.get_running_loop()
        request = _Request(deadline, loop.create_future(), [_NO_OUTPUT] * len(rows), len(rows))
        with self._lock:
            for index, row in enumerate(rows):
                self._arrivals += 1
                entry = _Entry((deadline, self._arrivals), len(row) + FIXED_STEPS, index, row, request)
                insort(self._queue, entry, key=_urgency)
        self._open.add(request)
        self._set_timer(loop, deadline)
        self._schedule(loop)
        try:
            return await request.future
        finally:
            self._open.remove(request)
            if request.missing:
                with self._lock:
                    self._queue = [entry for entry in self._queue if entry.request is not request]

    def admit(self, rows: int, deadline: float) -> None:
        """Return if so many rows have a place in the queue, so that a caller can ask before it prepares them.

        Raises:
            OverloadedError, DeadlineError: see `run`.
        """
        seconds = deadline - time.monotonic()
        waiting = len(self._queue)
        wait = (waiting + rows) * self._row_seconds / self._workers
        if seconds <= 0:
            raise DeadlineError("the deadline had passed before the request was queued; allow it more time")
        if waiting + rows > self._capacity:
            raise OverloadedError(
                f"{waiting} texts are waiting, and at most {self._capacity} may; {rows} more have no place", wait
            )
        if waiting and wait > seconds:
            raise OverloadedError(
                f"{waiting} texts are waiting, which takes about {wait:.1f} s, the request has {seconds:.1f} s", wait
            )

    def _set_timer(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """See to it that requests are looked through when this deadline has passed, if not before."""
        if self._timer is None or deadline < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer the requests whose deadline has passed."""
        self._timer = None
        now = time.monotonic()
        for request in self._open:
            if not request.future.done():
                if request.deadline <= now:
                    request.future.set_exception(DeadlineError(TOO_LATE))
                else:
                    self._set_timer(loop, request.deadline)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Dispatch once everything that arrived with this request is in the queue."""
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the workers that are idle."""
        self._scheduled = False
        batches = []
        with self._lock:
            while self._running < self._workers and (batch := self._take_batch()):
                batches.append(batch)
                self._running += 1
        # Only if the one before was single too: where requests come together, they gather while others are run.
        is_calm = self._running == 1 == self._rows and 0 < self._row_seconds <= self._inline_seconds
        if is_calm and list(map(len, batches)) == [1]:
            outcome = self._run_batch(batches[0])
            with self._lock:
                self._running -= 1
            self._finish(loop, batches[0], *outcome)
        else:
            for batch in batches:
                self._executor.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Entry]) -> None:
        """Run a batch in a thread of the engine, and go on if there is a largest one's worth of rows.

        So an event loop that is flooded with requests holds nothing up. Less than that is left to it, as it may be
        about to add rows.
        """
        outcome = self._run_batch(batch)
        with self._lock:
            following = self._take_batch() if len(self._queue) >= self._batch_sizes[-1] else []
            if not following:
                self._running -= 1
        loop.call_soon_threadsafe(self._finish, loop, batch, *outcome)
        if following:
            self._executor.submit(self._work, loop, following)  # behind what other models have submitted

    def _run_batch(self, batch: Sequence[_Entry]) -> tuple[NDArray[np.float32] | Exception, float]:
        """Return the outputs, or the error that the engine ended with, and the seconds it took."""
        started = time.perf_counter()
        outputs: NDArray[np.float32] | Exception
        try:
            outputs = self._run([entry.row for entry in batch])
        except Exception as error:
            outputs = error
        return outputs, time.perf_counter() - started

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[_Entry],
        outputs: NDArray[np.float32] | Exception,
        seconds: float,
    ) -> None:
        """Answer the requests whose last rows these were."""
        self._rows = len(batch)
        newest = seconds / len(batch)
        self._row_seconds += NEWEST_WEIGHT * (newest - self._row_seconds) if self._row_seconds else newest
        for place, entry in enumerate(batch):
            request = entry.request
            if request.future.done():
                continue
            if isinstance(outputs, Exception):
                request.future.set_exception(outputs)
                continue
            request.outputs[entry.index] = outputs[place]
            request.missing -= 1
            if not request.missing:
                request.future.set_result(request.outputs)
        if self._queue:
            self._schedule(loop)

    def _take_batch(self) -> list[_Entry]:
        """Take the most urgent row from the queue, and what can be run with it, the more urgent before the less.

        What is too late or has nobody left who waits is dropped. The caller holds the lock.
        """
        now = time.monotonic()
        batch: list[_Entry] = []
        passed: list[_Entry] = []  # over, as they are of other lengths
        shortest, longest, end = math.inf, 0.0, 0
        for entry in self._queue:
            if len(batch) == self._batch_sizes[-1]:
                break
            end += 1
            if entry.request.future.done() or entry.urgency[0] <= now:
                continue
            shorter, longer = min(shortest, entry.steps), max(longest, entry.steps)
            if shorter >= (1 - PADDING_SHARE) * longer:
                batch.append(entry)
                shortest, longest = shorter, longer
            else:
                passed.append(entry)
        size = _round_rows(len(batch), self._batch_sizes)
        self._queue[:end] = sorted(batch[size:] + passed, key=_urgency)
        return batch[:size]


def _round_rows(rows: int, batch_sizes: Iterable[int]) -> int:
    """Return how many of the rows to run now, so that an engine of these batch sizes has little to fill up."""
    return min(rows, max((size for size in batch_sizes if rows >= FILLED_SHARE * size), default=0))
