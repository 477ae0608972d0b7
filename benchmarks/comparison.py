"""What the measurements of all rounds say: medians, and ratios taken within a round, where the machine was the same."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import OURS
from benchmarks.results import Panel, format_figure, render_table


@dataclass(frozen=True)
class Measurement:
    """One run of wrk against one server: answers a second, latencies in milliseconds, memory in MiB after it."""

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


@dataclass(frozen=True)
class Ratio:
    """How many times better a figure of ours is than one of a peer: the median of the rounds, with those of either."""

    figure: str
    peer: str
    ours: float
    theirs: float
    times_better: float


Figure = Callable[[Measurement], float | None]


class Comparison:
    """The measurements of one bundle."""

    def __init__(self, measurements: Iterable[Measurement], bundle: str, servers: Sequence[str]) -> None:
        """Take all measurements and the servers in the order to show them."""
        self.bundle = bundle
        self._all = [measurement for measurement in measurements if measurement.bundle == bundle]
        self._servers = [name for name in servers if any(found.server == name for found in self._all)]
        self._texts = list(dict.fromkeys(found.texts for found in self._all))
        self._concurrency = sorted({found.concurrency for found in self._all})

    def tables(self) -> Iterable[tuple[str, str]]:
        """Return a title and a table for each set of texts, then those of the ratios, in Markdown."""
        at = [str(concurrency) for concurrency in self._concurrency]
        header = ["server", *(f"{name} at {n}" for name in ("req/s", "p50 ms", "p99 ms") for n in at)]
        for texts in self._texts:
            rows = [[server, *self._list_figures(server, texts)] for server in self._servers]
            yield f"{self.bundle}, {texts} texts", render_table([*header, "errors", "memory MiB"], rows)
        ratios = [
            [found.figure, found.peer, *map(format_figure, (found.ours, found.theirs, found.times_better))]
            for found in self.ratios(only=("predict",))
        ]
        if ratios:
            header = ["mixed texts", "against", "ours", "theirs", "times better"]
            yield f"{self.bundle}, ratios", render_table(header, ratios)
        costs = [[server, format_figure(cost)] for server, cost in self.cost_of_mixed().items()]
        if costs:
            header = ["server", f"cost of mixed / one-length at {self._concurrency[-1]}"]
            yield f"{self.bundle}, lengths", render_table(header, costs)

    def ratios(self, only: Sequence[str] | None = None) -> list[Ratio]:
        """Return the ratios on mixed texts to the peer that does best against ours and the others, or `only` some."""
        if not self._concurrency:
            return []
        least, most = self._concurrency[0], self._concurrency[-1]
        figures: list[tuple[str, int, Figure, Figure, bool]] = [
            (f"p50 at {least}, ms", least, _p50, _p50, False),
            (f"requests/s at {most}", most, _throughput, _throughput, True),
            (f"p99 at {most}, ms", most, _p99, _p99, False),
            (f"our p99 against their p50 at {most}, ms", most, _p99, _p50, False),
        ]
        found = []
        for name, concurrency, ours, theirs, more_is_better in figures:
            ratios = [
                ratio
                for server in self._servers
                if server != OURS
                and (ratio := self._compare(name, server, concurrency, ours, theirs, more_is_better)) is not None
            ]
            ratios.sort(key=lambda ratio: ratio.times_better)
            found += [ratio for place, ratio in enumerate(ratios) if only is None or place == 0 or ratio.peer in only]
        return found

    def cost_of_mixed(self) -> dict[str, float]:
        """Return, by server, the time of a mixed text over that of a one-length one, at the highest concurrency."""
        if len(self._texts) < 2:
            return {}
        mixed, one_length = (
            {server: self._by_round(server, texts, self._concurrency[-1], _throughput) for server in self._servers}
            for texts in self._texts[:2]
        )
        costs = {}
        for server in self._servers:
            rounds = mixed[server].keys() & one_length[server].keys()
            shared = [n for n in rounds if mixed[server][n] and one_length[server][n]]
            if shared:
                costs[server] = median(one_length[server][n] / mixed[server][n] for n in shared)
        return costs

    def panels(self) -> list[Panel]:
        """Return what is drawn of mixed texts: the ends of the range of concurrency."""
        least, most = self._concurrency[0], self._concurrency[-1]
        return [
            Panel(f"Throughput, concurrency {most}", "requests/s", self._panel(most, _throughput)),
            Panel(f"Median latency, concurrency {least}", "ms", self._panel(least, _p50)),
            Panel(f"99th percentile latency, concurrency {most}", "ms", self._panel(most, _p99)),
        ]

    def _list_figures(self, server: str, texts: str) -> list[str]:
        cells = [
            format_figure(self._median(server, texts, concurrency, figure))
            for figure in (_throughput, _p50, _p99)
            for concurrency in self._concurrency
        ]
        mine = [found for found in self._all if (found.server, found.texts) == (server, texts)]
        errors = sum(sum(found.errors.values()) for found in mine)
        memory = self._median(server, texts, self._concurrency[-1], _memory)
        return [*cells, f"{errors:,}", format_figure(memory)]

    def _panel(self, concurrency: int, figure: Figure) -> dict[str, float | None]:
        return {server: self._median(server, self._texts[0], concurrency, figure) for server in self._servers}

    def _compare(
        self, name: str, peer: str, concurrency: int, ours: Figure, theirs: Figure, more_is_better: bool
    ) -> Ratio | None:
        mine = self._by_round(OURS, self._texts[0], concurrency, ours)
        other = self._by_round(peer, self._texts[0], concurrency, theirs)
        shared = [n for n in mine.keys() & other.keys() if mine[n] and other[n]]
        if not shared:
            return None
        ratio = median(mine[n] / other[n] if more_is_better else other[n] / mine[n] for n in shared)
        return Ratio(name, peer, median(mine[n] for n in shared), median(other[n] for n in shared), ratio)

    def _median(self, server: str, texts: str, concurrency: int, figure: Figure) -> float | None:
        values = self._by_round(server, texts, concurrency, figure).values()
        return median(values) if values else None

    def _by_round(self, server: str, texts: str, concurrency: int, figure: Figure) -> dict[int, float]:
        return {
            found.round: value
            for found in self._all
            if (found.server, found.texts, found.concurrency) == (server, texts, concurrency)
            and (value := figure(found)) is not None
        }


def _throughput(measurement: Measurement) -> float:
    return measurement.throughput


def _p50(measurement: Measurement) -> float | None:
    return measurement.p50


def _p99(measurement: Measurement) -> float | None:
    return measurement.p99


def _memory(measurement: Measurement) -> float:
    return measurement.memory
