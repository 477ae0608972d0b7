"""The progress of a training with Keras: a line from time to time, and a bar on a terminal."""

import time
from contextlib import ExitStack
from typing import Self

import keras
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

SECONDS_BETWEEN_LINES = 10.0


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Prints the figures of the first and the last epoch, and between them at most one line every ten seconds.

    An epoch that takes longer has lines of its own. A line ends with the time that is left, once some steps have run.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        """Take the console, which may be quiet, and the number of epochs."""
        super().__init__()
        self._console = console
        self._epochs = epochs
        self._steps = 0  # of an epoch
        self._epoch = 0
        self._first: tuple[float, int] | None = None  # when the first steps were done, and their number
        self._last_line = time.monotonic()
        self._open = ExitStack()
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console
        )
        self._task = self._bar.add_task("training")

    def __enter__(self) -> Self:
        """Show the bar if the console is a terminal."""
        if self._console.is_terminal and not self._console.quiet:
            self._open.enter_context(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._open.close()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Note the number of the epoch and of its steps."""
        del logs
        self._epoch = epoch
        self._steps = int(self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Move the bar, and print a line if the last one is old."""
        del logs
        step = min(batch + 1, self._steps)  # with several steps a call, Keras counts past the end
        done = self._epoch * self._steps + step
        self._first = self._first or (time.monotonic(), done)
        self._bar.update(self._task, completed=done, total=self._epochs * self._steps)
        if self._is_due():
            self._print(f"{self._describe_epoch()}, step {step:,} of {self._steps:,}{self._describe_left(done)}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print the figures of the first and the last epoch, and of others if the last line is old."""
        if epoch == 0 or epoch + 1 == self._epochs or self._is_due():
            figures = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
            self._print(f"{self._describe_epoch()}: {figures}{self._describe_left((epoch + 1) * self._steps)}")

    def _describe_epoch(self) -> str:
        return f"epoch {self._epoch + 1:,} of {self._epochs:,}"

    def _describe_left(self, done: int) -> str:
        """Return the time left as the end of a line; "" if it is not known, or if nothing is left."""
        total = self._epochs * self._steps
        if self._first is None or not self._first[1] < done < total:
            return ""
        started, before = self._first
        seconds = (time.monotonic() - started) / (done - before) * (total - done)
        return f"; about {seconds:.0f} s left" if seconds < 100 else f"; about {seconds / 60:.0f} min left"

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._last_line = time.monotonic()
