"""Counts of what one process has done with one model since it was loaded."""

import time
from dataclasses import dataclass, field


@dataclass
class Times:
    """How often something was done, and the seconds of all times together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count one more time, or several that took these seconds together."""
        self.count += count
        self.seconds += seconds


@dataclass
class Tally:
    """The requests and batches of one model.

    Attributes:
        answered: requests with an answer, from the queue to the outputs.
        failed: requests without one: the engine failed, the deadline passed, or the client left.
        waits: of rows for their batches.
        batches: that the engine has run.
        rows: of these batches.
        last: when a request was answered, in seconds since 1970; 0 if none was.
    """

    answered: Times = field(default_factory=Times)
    failed: Times = field(default_factory=Times)
    waits: Times = field(default_factory=Times)
    batches: Times = field(default_factory=Times)
    rows: int = 0
    last: float = 0.0

    def note_request(self, seconds: float, is_answered: bool) -> None:
        """Count a request that has ended."""
        if is_answered:
            self.answered.add(seconds)
            self.last = time.time()
        else:
            self.failed.add(seconds)

    def note_batch(self, rows: int, seconds: float, waited: float) -> None:
        """Count a batch that has run, and for how many seconds its rows have waited together."""
        self.batches.add(seconds)
        self.waits.add(waited, rows)
        self.rows += rows
