"""What batches take: the time that rows wait for one another, and the event loop's."""

import time
from dataclasses import dataclass

# Batches are run in the event loop's thread if they take no longer than this: nothing else is answered meanwhile, but a
# thread of their own, which has to wait for Python and a core and be waited for, takes longer.
INLINE_SECONDS = 0.001
# The same where there is a process for every core: the others answer meanwhile, and each keeps to its own core.
INLINE_SECONDS_OF_A_CORE = 0.05
# Weight of the newest batch in what is measured, once there were enough for it to be less than that of any before.
NEWEST_WEIGHT = 0.05


class Pace:
    """What batches took of late."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.cost_seconds = 0.0  # what the engine takes for a cost of 1
        self._batches = 0
        self._batch_seconds = 0.0  # what a batch takes, with all that is done besides while rows wait
        self._batch_rows = 0.0
        self._since: float | None = None  # when the newest batch ended, if rows have waited from then on

    def note(self, rows: int, cost: float, seconds: float, rows_wait: bool) -> None:
        """Learn from a batch that has ended, and that took the engine so long."""
        now = time.monotonic()
        all_seconds = seconds if self._since is None else now - self._since
        self._since = now if rows_wait else None
        self._batches += 1
        # The first ones weigh the same: one that finds its weights on the disk yet must not stand for many.
        weight = max(NEWEST_WEIGHT, 1 / self._batches)
        self.cost_seconds += weight * (seconds / cost - self.cost_seconds)
        self._batch_seconds += weight * (all_seconds - self._batch_seconds)
        self._batch_rows += weight * (rows - self._batch_rows)

    @property
    def row_seconds(self) -> float:
        """What a row takes, with all that is done besides."""
        return self._batch_seconds / self._batch_rows if self._batch_rows else 0.0

    def pause(self) -> None:
        """Learn that the time from here on is not that of a row."""
        self._since = None


@dataclass
class LoopTime:
    """What batches may take of the event loop's thread, shared by the batchers of one process.

    `most` are the seconds that a batch may take to be run there, `spent` those that batches have taken so far.
    """

    most: float
    spent: float = 0.0
