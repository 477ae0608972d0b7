"""The rows that wait for one model, the most urgent first, and the permits for them.

It has one owner, the event loop's thread, so it needs no lock.
"""

import asyncio
import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.access.caller import Caller
from app.errors import OverloadedError
from app.runtime.grouping import Grouping
from app.telemetry.metrics import ModelMetrics
from app.telemetry.traces import Parts
from bundle.rows import Row

Output = NDArray[np.float32]

# A batch is chosen among this many of the most urgent rows. More would hardly make better batches.
CANDIDATES = 64
# A request with more time than this runs in the order of arrival; one with less runs by its deadline.
PATIENT_SECONDS = 1.0
# Each further row of a request counts as if it came this much later, so that large and small requests alternate.
ROW_SECONDS = 0.02


class Permit:
    """The places of one request in a queue. The end of its block gives them back."""

    def __init__(self, queue: "Queue", rows: int, deadline: float, caller: Caller | None, delay: float) -> None:
        """Take the places; made by `Queue.admit`."""
        self._queue = queue
        self.rows = rows  # that have not run
        self.deadline = deadline
        self.caller = caller
        self.delay = delay  # in seconds: the rows count as if they came this much later
        queue.count(caller, rows)

    def __enter__(self) -> Self:
        """Hold the places."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back the places that are left."""
        self.give_back(self.rows)

    def give_back(self, rows: int) -> None:
        """Give back some places."""
        self._queue.count(self.caller, -rows)
        self.rows -= rows


@dataclass(eq=False, slots=True)
class Request:
    """The rows of one request, which are answered together."""

    permit: Permit
    future: asyncio.Future[list[Output]]
    outputs: list[Output]
    missing: int
    queued_at: float
    parts: Parts | None = None  # if it is traced


@dataclass(eq=False, slots=True)
class Entry:
    """One row in the queue, and its index in its request."""

    urgency: tuple[float, int]  # a time, and among equal ones the order of arrival
    steps: int
    index: int
    row: Row
    request: Request


_urgency = attrgetter("urgency")


class Queue:
    """The rows that wait for one model."""

    def __init__(self, capacity: int, metrics: ModelMetrics) -> None:
        """Take the number of rows that may wait, and the metrics of the model."""
        self._capacity = capacity
        self._metrics = metrics
        metrics.queue_capacity.put(capacity)
        self._entries: list[Entry] = []  # the most urgent first
        self.arrived = 0  # rows, so far
        self.waiting = 0  # rows that have a permit and have not run
        self._waiting_of: dict[str, int] = {}  # the same by client, of the clients that have some

    def __len__(self) -> int:
        """Return how many rows can run now."""
        return len(self._entries)

    def count(self, caller: Caller | None, rows: int) -> None:
        """Count rows that wait from now on; a negative number, if they wait no longer."""
        self.waiting += rows
        self._metrics.queue_rows.put(self.waiting)
        if caller:
            waiting = self._waiting_of.pop(caller.name, 0) + rows
            if waiting:
                self._waiting_of[caller.name] = waiting

    def admit(self, rows: int, deadline: float, now: float, row_seconds: float, caller: Caller | None = None) -> Permit:
        """Return a permit for the rows of one request.

        Args:
            rows: how many.
            deadline: when the answer is due, on the clock of `now`.
            now: the time.
            row_seconds: how long a row takes.
            caller: the client; None if the service does not know it.

        Raises:
            OverloadedError: there are not enough places, or the rows would wait past the deadline.
        """
        if self.waiting + rows > self._capacity:
            self._metrics.note_rejection("queue-full")
            raise OverloadedError(
                f"{self.waiting} texts are waiting, and at most {self._capacity} may; {rows} more have no place",
                (self.waiting + rows) * row_seconds,
            )
        delay = self._find_delay(caller, row_seconds)
        before = bisect_right(self._entries, (delay + _find_time(deadline, now, rows - 1), math.inf), key=_urgency)
        wait = (before + rows) * row_seconds
        if before and wait > deadline - now:
            self._metrics.note_rejection("too-late")
            raise OverloadedError(
                f"{before} texts come first, which takes about {wait:.1f} s; the request has {deadline - now:.1f} s",
                wait,
            )
        return Permit(self, rows, deadline, caller, delay)

    def put(self, request: Request, rows: Sequence[Row], steps: Sequence[int], now: float) -> None:
        """Add the rows of a request."""
        permit = request.permit
        for index, row in enumerate(rows):
            urgency = (permit.delay + _find_time(permit.deadline, now, index), self.arrived)
            insort(self._entries, Entry(urgency, steps[index], index, row, request), key=_urgency)
            self.arrived += 1

    def remove(self, request: Request) -> None:
        """Remove the rows of a request that has ended before its answer."""
        if request.missing:
            self._entries = [entry for entry in self._entries if entry.request is not request]

    def take(self, grouping: Grouping, now: float) -> list[Entry]:
        """Take the most urgent row, and the rows that are best run with it; drop rows that nobody waits for."""
        candidates: list[Entry] = []
        end = 0
        for entry in self._entries:
            if len(candidates) == CANDIDATES:
                break
            end += 1
            if not entry.request.future.done() and entry.request.permit.deadline > now:
                candidates.append(entry)
        batch = [candidates[place] for place in grouping.choose([entry.steps for entry in candidates])]
        taken = set(batch)
        self._entries[:end] = [entry for entry in candidates if entry not in taken]
        for entry in batch:
            entry.request.permit.give_back(1)
            self._metrics.waits.note(now - entry.request.queued_at)
            if entry.request.parts:
                entry.request.parts.note("queue", entry.request.queued_at, now)
        return batch

    def _find_delay(self, caller: Caller | None, row_seconds: float) -> float:
        """Return how long the other rows of a client would take if each client that waits had an equal share.

        So a client with many requests does not push others back: its further rows count as if they came later.
        """
        waiting = self._waiting_of.get(caller.name, 0) if caller else 0
        return waiting * len(self._waiting_of) * row_seconds


def _find_time(deadline: float, now: float, index: int) -> float:
    """Return the time by which one row of a new request is sorted."""
    return min(deadline, now + PATIENT_SECONDS + index * ROW_SECONDS)
