"""How long batches take: the time that rows wait for one another, and the time of the event loop."""

from collections.abc import Callable
from dataclasses import dataclass

# Weight of the newest batch in what is measured, once there were enough for it to be less than that of any before.
NEWEST_WEIGHT = 0.05


class Pace:
    """How long the last batches took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Know nothing yet."""
        self._clock = clock
        self.cost_seconds = 0.0  # of the engine, for a cost of 1
        self._batches = 0
        self._batch_seconds = 0.0  # of a batch, with everything else that the process does while rows wait
        self._batch_rows = 0.0
        self._since: float | None = None  # when the newest batch ended, if rows have waited from then on

    def note(self, rows: int, cost: float, seconds: float, rows_wait: bool) -> None:
        """Learn from a batch that has ended, and from the seconds that the engine took."""
        now = self._clock()
        all_seconds = seconds if self._since is None else now - self._since
        self._since = now if rows_wait else None
        self._batches += 1
        # The first ones weigh the same: a cold start must not stand for many batches.
        weight = max(NEWEST_WEIGHT, 1 / self._batches)
        self.cost_seconds += weight * (seconds / cost - self.cost_seconds)
        self._batch_seconds += weight * (all_seconds - self._batch_seconds)
        self._batch_rows += weight * (rows - self._batch_rows)

    @property
    def row_seconds(self) -> float:
        """Seconds of a row, with everything else that the process does."""
        return self._batch_seconds / self._batch_rows if self._batch_rows else 0.0

    def pause(self) -> None:
        """Leave out the time from here on: no batch runs in it."""
        self._since = None


@dataclass
class LoopTime:
    """The share of batches in the event loop's thread, for all models of one process.

    `most` is how long a batch may take to run there; `spent` are the seconds that batches have taken so far.
    """

    most: float
    spent: float = 0.0
