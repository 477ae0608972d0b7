"""The timings of all rounds of `engine`: medians, ratios within a round, and the cost of a row by batch size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.results import LinePanel, format_figure, render_table
from benchmarks.ways import Subject

_DRAWN_ROWS = 8


@dataclass(frozen=True)
class Timing:
    """Seconds of a batch of `rows` rows with `words` words each."""

    round: int
    bundle: str
    way: str
    rows: int
    words: int
    seconds: float


class Timings:
    """All timings of one bundle."""

    def __init__(self, found: Iterable[Timing], subject: Subject) -> None:
        """Take all timings; timings of other bundles are ignored."""
        self._found = [timing for timing in found if timing.bundle == subject.name]
        self._ours = subject.ours
        self._onnx = subject.onnx
        timed = {timing.way for timing in self._found}
        self._ways = [way.name for way in subject.ways if way.name in timed]
        self._rows = sorted({timing.rows for timing in self._found})
        self._words = sorted({timing.words for timing in self._found})

    def tables(self) -> Iterable[tuple[str, str]]:
        """Return titles and tables: the time of a batch, its ratio to ours, and the time of a row by batch size."""
        yield "ms a batch", self._render(self._milliseconds)
        yield f"times {self._ours}", self._render(self._ratio)
        for way in (name for name in self._ways if name in self._onnx):
            header = ["rows", *(f"{words} words" for words in self._words)]
            rows = [[str(n), *(_format(self._per_row(way, n, words)) for words in self._words)] for n in self._rows]
            yield f"{way}: ms a row, by the rows of its batch", render_table(header, rows)

    def panels(self) -> list[LinePanel]:
        """Return the panels of the plot: the time of a batch over its words, and of a row over its batch size."""
        drawn = min(self._rows, key=lambda rows: abs(rows - _DRAWN_ROWS))
        over_words = {way: [(n, self._milliseconds(way, drawn, n)) for n in self._words] for way in self._ways[::-1]}
        over_rows = {
            f"{words} words": [(n, self._per_row(self._ours, n, words)) for n in self._rows] for words in self._words
        }
        return [
            LinePanel(f"A batch of {drawn} reviews", "words in each review", "ms a batch", over_words, True, True),
            LinePanel(self._ours, "reviews in the batch", "ms a review", over_rows, True, True),
        ]

    def _render(self, figure: Callable[[str, int, int], float | None]) -> str:
        points = [(rows, words) for rows in self._rows for words in self._words]
        rows = [[str(n), str(words), *(_format(figure(way, n, words)) for way in self._ways)] for n, words in points]
        return render_table(["rows", "words", *self._ways], rows)

    def _milliseconds(self, way: str, rows: int, words: int) -> float | None:
        values = self._by_round(way, rows, words).values()
        return 1000 * median(values) if values else None

    def _per_row(self, way: str, rows: int, words: int) -> float | None:
        milliseconds = self._milliseconds(way, rows, words)
        return None if milliseconds is None else milliseconds / rows

    def _ratio(self, way: str, rows: int, words: int) -> float | None:
        ours, theirs = (self._by_round(name, rows, words) for name in (self._ours, way))
        return median(theirs[number] / ours[number] for number in ours) if theirs else None

    def _by_round(self, way: str, rows: int, words: int) -> dict[int, float]:
        return {
            timing.round: timing.seconds
            for timing in self._found
            if (timing.way, timing.rows, timing.words) == (way, rows, words)
        }


def describe_ways(meanings: Sequence[tuple[str, str, float]]) -> str:
    """Return a table of ways: name, meaning, and largest difference of the answers from `predict`."""
    rows = [[name, meaning, f"{difference:.1e}"] for name, meaning, difference in meanings]
    return render_table(["way", "what it is", "largest difference from `predict`"], rows, 2)


def _format(value: float | None) -> str:
    return format_figure(value) if value is None or value >= 1 else f"{value:.3f}"
