"""The measurements of all rounds of one bundle: medians, and ratios within a round, under equal conditions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Literal

from benchmarks.contenders import OURS
from benchmarks.results import Panel, format_figure, render_table


@dataclass(frozen=True)
class Measurement:
    """One run of wrk against one server: answers a second, latencies in milliseconds, memory in MiB at the end."""

    round: int
    bundle: str
    server: str
    texts: str
    concurrency: int
    requests: int
    seconds: float
    throughput: float
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None
    errors: dict[str, int]
    memory: float


Figure = Literal["requests/s", "p50 ms", "p99 ms"]
LESS_IS_BETTER: tuple[Figure, ...] = ("p50 ms", "p99 ms")
_READ: Mapping[Figure, Callable[[Measurement], float | None]] = MappingProxyType(
    {"requests/s": lambda one: one.throughput, "p50 ms": lambda one: one.p50, "p99 ms": lambda one: one.p99}
)


@dataclass(frozen=True)
class Ratio:
    """The ratio of our figure to a peer's figure: its median over the rounds, its least and its greatest value.

    `ours` and `theirs` are medians over the same rounds.
    """

    bundle: str
    figure: Figure
    concurrency: int
    peer: str
    ours: float
    theirs: float
    ratio: float
    least: float
    most: float
    rounds: int


class Comparison:
    """The measurements of one bundle."""

    def __init__(self, measurements: Iterable[Measurement], bundle: str) -> None:
        """Take all measurements; measurements of other bundles are ignored."""
        self.bundle = bundle
        self._all = [measurement for measurement in measurements if measurement.bundle == bundle]
        self.servers = list(dict.fromkeys(found.server for found in self._all))
        self._texts = list(dict.fromkeys(found.texts for found in self._all))
        self._concurrency = sorted({found.concurrency for found in self._all})

    def tables(self) -> Iterable[tuple[str, str]]:
        """Return a title and a table for each set of texts, and a table of the cost of mixed lengths, in Markdown."""
        at = [str(concurrency) for concurrency in self._concurrency]
        header = ["server", *(f"{name} at {n}" for name in _READ for n in at)]
        for texts in self._texts:
            rows = [[server, *self._list_figures(server, texts)] for server in self.servers]
            yield f"{self.bundle}, {texts} texts", render_table([*header, "errors", "memory MiB"], rows)
        costs = [[server, format_figure(cost)] for server, cost in self.cost_of_mixed().items()]
        if costs:
            header = ["server", f"cost of mixed / one-length at {self._concurrency[-1]}"]
            yield f"{self.bundle}, lengths", render_table(header, costs)

    def compare(self, figure: Figure, concurrency: int, peer: str) -> Ratio | None:
        """Return the ratio of our figure to a peer's, on the first set of texts; None if no round has both."""
        mine = self._by_round(OURS, self._texts[0], concurrency, figure)
        other = self._by_round(peer, self._texts[0], concurrency, figure)
        shared = [number for number in mine.keys() & other.keys() if mine[number] and other[number]]
        if not shared:
            return None
        ratios = [mine[number] / other[number] for number in shared]
        return Ratio(
            self.bundle,
            figure,
            concurrency,
            peer,
            median(mine[number] for number in shared),
            median(other[number] for number in shared),
            median(ratios),
            min(ratios),
            max(ratios),
            len(shared),
        )

    def cost_of_mixed(self) -> dict[str, float]:
        """Return, by server, the time of a mixed text divided by a one-length text's, at the highest concurrency."""
        if len(self._texts) < 2:
            return {}
        mixed, one_length = (
            {server: self._by_round(server, texts, self._concurrency[-1], "requests/s") for server in self.servers}
            for texts in self._texts[:2]
        )
        costs = {}
        for server in self.servers:
            rounds = mixed[server].keys() & one_length[server].keys()
            shared = [n for n in rounds if mixed[server][n] and one_length[server][n]]
            if shared:
                costs[server] = median(one_length[server][n] / mixed[server][n] for n in shared)
        return costs

    def panels(self) -> list[Panel]:
        """Return the panels of the plot, for the first set of texts at the lowest and the highest concurrency."""
        least, most = self._concurrency[0], self._concurrency[-1]
        return [
            Panel(f"Throughput, concurrency {most}", "requests/s", self._panel(most, "requests/s")),
            Panel(f"Median latency, concurrency {least}", "ms", self._panel(least, "p50 ms")),
            Panel(f"99th percentile latency, concurrency {most}", "ms", self._panel(most, "p99 ms")),
        ]

    def _list_figures(self, server: str, texts: str) -> list[str]:
        cells = [
            format_figure(self._median(server, texts, concurrency, figure))
            for figure in _READ
            for concurrency in self._concurrency
        ]
        mine = [found for found in self._all if (found.server, found.texts) == (server, texts)]
        errors = sum(sum(found.errors.values()) for found in mine)
        memory = max((found.memory for found in mine), default=None)
        return [*cells, f"{errors:,}", format_figure(memory)]

    def _panel(self, concurrency: int, figure: Figure) -> dict[str, float | None]:
        return {server: self._median(server, self._texts[0], concurrency, figure) for server in self.servers}

    def _median(self, server: str, texts: str, concurrency: int, figure: Figure) -> float | None:
        values = self._by_round(server, texts, concurrency, figure).values()
        return median(values) if values else None

    def _by_round(self, server: str, texts: str, concurrency: int, figure: Figure) -> dict[int, float]:
        return {
            found.round: value
            for found in self._all
            if (found.server, found.texts, found.concurrency) == (server, texts, concurrency)
            and (value := _READ[figure](found)) is not None
        }
