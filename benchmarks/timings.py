"""What the timings of all rounds of `engine` say: medians, ratios within a round, the roofline, and the breakdown."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from app.engine import BATCH_SIZES
from benchmarks import roofline
from benchmarks.results import LinePanel, format_figure, render_table
from benchmarks.roofline import Peak
from benchmarks.ways import OURS, Subject

SIZES_TRIED = (1, 2, 4, 8, 16, 32)
SIZES_WORDS = 256
_ROOFLINE_ROWS, _ROOFLINE_WORDS = 32, 256
_DRAWN_ROWS, _DRAWN_WORDS = 16, 256


@dataclass(frozen=True)
class Timing:
    """Seconds of a batch of `rows` rows with `words` words each."""

    round: int
    bundle: str
    way: str
    rows: int
    words: int
    seconds: float


@dataclass(frozen=True)
class SizeTiming:
    """Seconds of a batch on an engine compiled for just this many rows, and of compiling it."""

    round: int
    bundle: str
    rows: int
    seconds: float
    compiling: float


@dataclass(frozen=True)
class Reach:
    """How near a way comes to the roofline; `intensity` in operations a byte."""

    way: str
    operations: str
    per_row_and_step: int
    intensity: float
    bound_by: str
    gflops: float
    share: float


class Timings:
    """Everything that was timed."""

    def __init__(self, subjects: Sequence[Subject], rows: Sequence[int], words: Sequence[int]) -> None:
        """Take the bundles, and what is measured of each: all rows with all words."""
        self.rows = list(rows)
        self._words = list(words)
        self.found: list[Timing] = []
        self.sizes: list[SizeTiming] = []
        self.differences: dict[str, dict[str, float]] = {subject.name: {} for subject in subjects}

    def points(self, subject: Subject) -> list[tuple[int, int]]:
        """Return rows and words to measure of a bundle: it reads no more words than its length."""
        return [(rows, words) for rows in self.rows for words in self._words_of(subject)]

    def describe(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = [asdict(timing) for timing in self.found]
        return {"timings": found, "sizes": [asdict(timing) for timing in self.sizes]}

    def tables(self, subject: Subject, inexact: Collection[str]) -> Iterable[tuple[str, str]]:
        """Return a title and a table each for times of a batch, of a row, and against ours; in Markdown."""
        ways = self._ways(subject)
        header = ["rows", "words", *(f"{way} (not exact)" if way in inexact else way for way in ways)]
        points = self.points(subject)

        def render(cell: Any) -> str:
            return render_table(
                header, [[str(rows), str(words), *(cell(way, rows, words) for way in ways)] for rows, words in points]
            )

        yield (
            "ms a batch",
            render(lambda way, rows, words: format_figure(self._milliseconds(subject, way, rows, words))),
        )
        yield (
            "ms a row",
            render(lambda *point: _format_small(self._per_row(subject, *point))),
        )
        yield "times ours", render(lambda way, rows, words: format_figure(self._ratio(subject, way, rows, words)))

    def compare_with_roofline(self, subject: Subject, peak: Peak) -> tuple[list[Reach], str]:
        """Return how near ways come to the roofline at one point, both to keep and as a table."""
        whole, executed = roofline.count_work(subject.network)
        steps = _ROOFLINE_ROWS * _ROOFLINE_WORDS
        found: list[Reach] = []
        for way, work in [(OURS, executed), (OURS, whole), ("XLA, grid", whole), ("XLA, full", whole)]:
            milliseconds = self._milliseconds(subject, way, _ROOFLINE_ROWS, _ROOFLINE_WORDS)
            if milliseconds is None:
                continue
            reached = work.operations * steps / (milliseconds / 1000)
            bound = work.bound(peak)
            bound_by = "arithmetic" if bound == peak.operations else "memory"
            operations = work.operations
            found.append(Reach(way, work.name, operations, work.intensity, bound_by, reached / 1e9, reached / bound))
        header = ["way", "operations", "a row and step", "a byte", "bound by", "GFlop/s", "share of the roofline"]
        rows = [
            [
                one.way,
                one.operations,
                f"{one.per_row_and_step:,}",
                format_figure(one.intensity),
                one.bound_by,
                format_figure(one.gflops),
                f"{one.share:.1%}",
            ]
            for one in found
        ]
        return found, render_table(header, rows, 2) if rows else ""

    def break_down(self, subject: Subject) -> tuple[list[dict[str, float]], str]:
        """Return what a batch of ours costs at one word and a step, and what the parts of a step cost alone."""
        units = max(layer.units for layer in subject.network._flatten_layers() if type(layer).__name__ == "LSTM")
        directions = sum(type(layer).__name__ == "LSTM" for layer in subject.network._flatten_layers())
        found = []
        for rows in self.rows:
            size = next((size for size in BATCH_SIZES if size >= rows), 0)
            if not size:
                continue  # these are run as several batches
            points = [1, *self._words_of(subject)]
            milliseconds = [self._milliseconds(subject, OURS, rows, words) or 0 for words in points]
            slope = float(np.polyfit(points, milliseconds, 1)[0])
            product, gates = (directions * 1e6 * part for part in roofline.time_parts(units, size))
            found.append(
                {
                    "rows": rows,
                    "one_word_ms": round(milliseconds[0], 4),
                    "step_us": round(1000 * slope, 3),
                    "product_us": round(product, 3),
                    "gates_us": round(gates, 3),
                    "fixed_steps": round(milliseconds[0] / slope, 1),
                }
            )
        header = ["rows", "at 1 word, ms", "a step, us", "product alone", "gates alone", "1 word in steps"]
        names = ("one_word_ms", "step_us", "product_us", "gates_us", "fixed_steps")
        return found, render_table(
            header, [[str(one["rows"]), *(_format_small(one[name]) for name in names)] for one in found]
        )

    def size_table(self, subject: Subject) -> str:
        """Return what each size of batches costs to run and to compile."""
        rows = []
        for size in SIZES_TRIED:
            mine = [timing for timing in self.sizes if (timing.bundle, timing.rows) == (subject.name, size)]
            milliseconds = 1000 * median(timing.seconds for timing in mine)
            compiling = median(timing.compiling for timing in mine)
            rows.append(
                [str(size), format_figure(milliseconds), _format_small(milliseconds / size), format_figure(compiling)]
            )
        return render_table(["rows", "ms a batch", "ms a row", "compiling, s"], rows)

    def panels(self, subject: Subject) -> list[LinePanel]:
        """Return what is drawn: a batch over its words, and a row over the rows of its batch."""
        ways, panels = self._ways(subject)[::-1], []
        if _DRAWN_ROWS in self.rows:
            over_words = {
                way: [(n, self._milliseconds(subject, way, _DRAWN_ROWS, n)) for n in self._words_of(subject)]
                for way in ways
            }
            title = f"A batch of {_DRAWN_ROWS} reviews"
            panels.append(LinePanel(title, "words in each review", "ms a batch", over_words, True, True))
        if _DRAWN_WORDS in self._words_of(subject):
            over_rows = {way: [(n, self._per_row(subject, way, n, _DRAWN_WORDS)) for n in self.rows] for way in ways}
            title = f"Reviews of {_DRAWN_WORDS} words"
            panels.append(LinePanel(title, "reviews in the batch", "ms a review", over_rows, True, True))
        return panels

    def _words_of(self, subject: Subject) -> list[int]:
        return sorted({min(words, subject.length) for words in self._words})

    def _ways(self, subject: Subject) -> list[str]:
        return list(self.differences[subject.name])

    def _milliseconds(self, subject: Subject, way: str, rows: int, words: int) -> float | None:
        values = self._by_round(subject, way, rows, words).values()
        return 1000 * median(values) if values else None

    def _per_row(self, subject: Subject, way: str, rows: int, words: int) -> float | None:
        milliseconds = self._milliseconds(subject, way, rows, words)
        return None if milliseconds is None else milliseconds / rows

    def _ratio(self, subject: Subject, way: str, rows: int, words: int) -> float | None:
        ours, theirs = (self._by_round(subject, name, rows, words) for name in (OURS, way))
        return median(theirs[n] / ours[n] for n in ours) if theirs else None

    def _by_round(self, subject: Subject, way: str, rows: int, words: int) -> dict[int, float]:
        return {
            timing.round: timing.seconds
            for timing in self.found
            if (timing.bundle, timing.way, timing.rows, timing.words) == (subject.name, way, rows, words)
        }


def _format_small(value: float | None) -> str:
    return format_figure(value) if value is None or value >= 1 else f"{value:.3f}"
