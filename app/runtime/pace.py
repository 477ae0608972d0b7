"""Measures how long batches take: to estimate how long rows wait, and to limit the time of the event loop."""

from collections.abc import Callable
from dataclasses import dataclass

# Weight of the newest batch in the averages, after the first 20 batches.
NEWEST_WEIGHT = 0.05


class Pace:
    """How long the last batches took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start without measurements."""
        self._clock = clock
        self.cost_seconds = 0.0  # of the engine, for a cost of 1
        self._batches = 0
        self._batch_seconds = 0.0  # of a batch, with everything else that the process does while rows wait
        self._batch_rows = 0.0
        self._since: float | None = None  # when the newest batch ended, if rows have waited from then on

    def note(self, rows: int, cost: float, seconds: float, rows_wait: bool) -> None:
        """Add a batch that has ended, and the seconds that the engine took."""
        now = self._clock()
        all_seconds = seconds if self._since is None else now - self._since
        self._since = now if rows_wait else None
        self._batches += 1
        # The first batches have equal weights: otherwise a cold start would count for long.
        weight = max(NEWEST_WEIGHT, 1 / self._batches)
        self.cost_seconds += weight * (seconds / cost - self.cost_seconds)
        self._batch_seconds += weight * (all_seconds - self._batch_seconds)
        self._batch_rows += weight * (rows - self._batch_rows)

    @property
    def row_seconds(self) -> float:
        """Seconds of a row, with everything else that the process does."""
        return self._batch_seconds / self._batch_rows if self._batch_rows else 0.0

    def pause(self) -> None:
        """Do not count the time until the next batch: no rows wait."""
        self._since = None


@dataclass
class LoopTime:
    """The time of batches in the event loop's thread, for all models of one process.

    `most` is how long a batch may take to run there; `spent` are the seconds that batches have taken so far.
    """

    most: float
    spent: float = 0.0
