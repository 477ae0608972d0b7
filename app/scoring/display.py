"""How far a run is: one line that changes on a terminal, a new line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TextIO

_TERMINAL_SECONDS = 0.2
_PLAIN_SECONDS = 10.0
_CLEAR = "\r\x1b[K"


def count_rows(rows: int) -> str:
    """Return a number of rows in words."""
    return f"{rows:,} row{'s' if rows != 1 else ''}"


class Display:
    """Shows the progress of a run on standard error."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take where to write, by default standard error, and the clock."""
        self._file = file or sys.stderr
        self._clock = clock
        self._is_terminal = self._file.isatty()
        self._started = clock()
        self._shown = self._started
        self._first: tuple[int, float] | None = None  # rows and share when this run began to work

    def begin(self, rows: int, share: float) -> None:
        """Start to count, from the rows that the output has already; this share of the input is done."""
        self._started = self._shown = self._clock()
        self._first = rows, share

    def update(self, rows: int, share: float | None) -> None:
        """Show the rows of the output, and which share of the input is done, unless the last time was just now."""
        now = self._clock()
        if now - self._shown < (_TERMINAL_SECONDS if self._is_terminal else _PLAIN_SECONDS):
            return
        self._shown = now
        shown = self._describe(rows, share, now)
        self._file.write(f"{_CLEAR}{shown}" if self._is_terminal else f"{shown}\n")
        self._file.flush()

    def say(self, line: str) -> None:
        """Write a line of its own."""
        self._file.write(f"{_CLEAR if self._is_terminal else ''}{line}\n")
        self._file.flush()

    def describe_end(self, rows: int) -> str:
        """Return how many rows the output has, and how many of them this run did in which time."""
        if self._first is None:
            return count_rows(rows)
        first_rows, _ = self._first
        seconds = self._clock() - self._started
        of_them = f", {rows - first_rows:,} of them now," if first_rows else ""
        return f"{count_rows(rows)}{of_them} in {seconds:.1f} s{self._describe_rate(rows - first_rows, seconds)}"

    def _describe(self, rows: int, share: float | None, now: float) -> str:
        assert self._first
        first_rows, first_share = self._first
        seconds = now - self._started
        shown = f"{count_rows(rows)}{self._describe_rate(rows - first_rows, seconds)}"
        if share is None or share <= first_share:
            return shown
        left = seconds * (1 - share) / (share - first_share)
        return f"{shown}, {share:.0%}, {timedelta(seconds=round(left))} left"

    def _describe_rate(self, rows: int, seconds: float) -> str:
        return f", {rows / seconds:,.0f} rows/s" if seconds > 0 else ""
