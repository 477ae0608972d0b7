"""`python -m benchmarks.overload`: the answers of the service under more load than its capacity."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks import contenders, machine, openloop, results, reviews, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, telling_errors
from benchmarks.contenders import OURS
from benchmarks.openloop import Load, Order
from benchmarks.results import LinePanel, format_figure, render_table
from benchmarks.servers import HOST, Server

_CAPACITY_CONCURRENCY = 64
_WARM_UP_SECONDS = 2


@dataclass(frozen=True)
class Measurement:
    """One load in one round: `factor` times the capacity, in answers a second, measured by wrk in the same round."""

    round: int
    bundle: str
    factor: float
    capacity: float
    load: Load

    @property
    def refused(self) -> float:
        """Share of answers that are 503."""
        return self._share("503")

    @property
    def expired(self) -> float:
        """Share of answers that are 504."""
        return self._share("504")

    @property
    def others(self) -> int:
        """Requests answered with another error."""
        return sum(n for status, n in self.load.statuses.items() if status >= "300" and status not in ("503", "504"))

    def _share(self, status: str) -> float:
        return self.load.statuses.get(status, 0) / max(1, sum(self.load.statuses.values()))


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    factor: Annotated[list[float], typer.Option(min=0.05, max=5, help="Offered load over capacity; repeatable.")] = [  # noqa: B006
        0.5,
        0.8,
        1,
        1.5,
        2,
        3,
    ],
    seconds: Annotated[int, typer.Option(min=2, max=60, help="Seconds of one load.")] = 10,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure goodput, latency and refusals of the service at rising offered load."""
    with telling_errors(), tempfile.TemporaryDirectory() as folder:
        wrk.find()
        sample = reviews.sample(data)
        plan = {"bundles": bundle, "factors": sorted(factor), "seconds": seconds, "rounds": rounds}
        constant = machine.describe() | {"plan": plan}
        found: list[Measurement] = []
        for number in range(1, rounds + 1):
            for name in bundle:
                contender = contenders.find(name)[OURS]
                bodies = contender.write_bodies(Path(folder) / name, sample)
                with contender.run(reviews.open_bundle(name)[0]) as server:
                    capacity = _measure_capacity(server, contender.path, bodies, seconds)
                    print(f"round {number} of {rounds}, {name}: capacity {capacity:,.0f}/s", flush=True)
                    for times in sorted(factor):
                        order = Order(server.port, contender.path, str(bodies), times * capacity, seconds, seed=number)
                        server.settle()
                        found.append(Measurement(number, name, times, capacity, openloop.run(order)))
                        print(f"  {_describe(found[-1])}", flush=True)
                        results.save(out / "overload.json", constant | {"measurements": [asdict(one) for one in found]})
        _show(bundle, found, out)


def _measure_capacity(server: Server, path: str, bodies: Path, seconds: int) -> float:
    """Return the answers a second over 64 connections, which keep the service busy, closed loop."""
    url = f"http://{HOST}:{server.port}{path}"
    server.settle()
    wrk.run(url, bodies, _CAPACITY_CONCURRENCY, _WARM_UP_SECONDS)
    server.settle()
    return wrk.run(url, bodies, _CAPACITY_CONCURRENCY, seconds).throughput


def _describe(found: Measurement) -> str:
    load = found.load
    return (
        f"x{found.factor:g}: sent {load.sent:,.0f}/s, goodput {load.goodput:,.0f}/s, p50 {format_figure(load.p50)} ms, "
        f"p99 {format_figure(load.p99)} ms, refused {found.refused:.1%}, lost {load.lost}, held {load.held}, "
        f"load {load.core:.2f} core"
    )


def _show(names: Sequence[str], found: Sequence[Measurement], out: Path) -> None:
    header = [
        "load / capacity",
        "sent/s",
        "sent / capacity",
        "goodput/s",
        "goodput / capacity",
        "p50 ms",
        "p99 ms",
        "p99 ms from sending",
        "503",
        "504",
        "other errors",
        "503 without Retry-After",
        "lost",
        "held for a connection (unsent)",
        "sent late p99 ms",
        "generator cores",
    ]
    columns, blocks = [], []
    for name in names:
        of_bundle = [one for one in found if one.bundle == name]
        factors = sorted({one.factor for one in of_bundle})
        by_factor = {factor: [one for one in of_bundle if one.factor == factor] for factor in factors}
        rows = [[f"{factor:g}", *_list_figures(those)] for factor, those in by_factor.items()]
        capacities = results.format_range({one.round: one.capacity for one in of_bundle}.values())
        title = f"**{name}**: capacity {capacities} answers/s, by wrk over {_CAPACITY_CONCURRENCY} connections"
        blocks += [title, render_table(header, rows)]
        columns += [(name, _draw_rates(by_factor)), (name, _draw_latencies(by_factor))]
    results.draw_lines(out / "overload.png", columns)
    results.report(out / "overload", blocks)


def _list_figures(those: Sequence[Measurement]) -> list[str]:
    loads = [one.load for one in those]
    middle = [
        median(load.sent for load in loads),
        median(one.load.sent / one.capacity for one in those),
        median(load.goodput for load in loads),
        median(one.load.goodput / one.capacity for one in those),
        _median([load.p50 for load in loads]),
        _median([load.p99 for load in loads]),
        _median([load.p99_from_sending for load in loads]),
    ]
    return [
        *map(format_figure, middle),
        f"{median(one.refused for one in those):.1%}",
        f"{median(one.expired for one in those):.1%}",
        f"{sum(one.others for one in those):,}",
        f"{sum(load.bare for load in loads):,}",
        f"{sum(load.lost for load in loads):,}",
        f"{sum(load.held for load in loads):,} ({sum(load.unsent for load in loads):,})",
        format_figure(_median([load.late_p99 for load in loads])),
        format_figure(median(load.core for load in loads)),
    ]


def _draw_rates(by_factor: dict[float, list[Measurement]]) -> list[LinePanel]:
    capacity = median(one.capacity for those in by_factor.values() for one in those)
    goodput = _curve(by_factor, lambda one: one.load.goodput)
    sent = _curve(by_factor, lambda one: one.load.sent)
    refused = _curve(by_factor, lambda one: 100 * one.refused)
    expired = _curve(by_factor, lambda one: 100 * one.expired)
    ideal = [(0, 0), (1, capacity), (max(1, *by_factor), capacity)]
    return [
        LinePanel(
            "Answers within 5 s",
            "offered load / capacity",
            "per second",
            {"goodput": goodput, "sent": sent, "all the service can do": ideal},
            dashed={"all the service can do"},
        ),
        LinePanel(
            "Refused at once, and expired",
            "offered load / capacity",
            "% of answers",
            {"503 with Retry-After": refused, "504": expired},
            top=100,
        ),
    ]


def _draw_latencies(by_factor: dict[float, list[Measurement]]) -> list[LinePanel]:
    p50 = _curve(by_factor, lambda one: one.load.p50)
    p99 = _curve(by_factor, lambda one: one.load.p99)
    from_sending = _curve(by_factor, lambda one: one.load.p99_from_sending)
    late = _curve(by_factor, lambda one: one.load.late_p99)
    core = _curve(by_factor, lambda one: 100 * one.load.core)
    return [
        LinePanel(
            "Latency of accepted requests, from planned sending",
            "offered load / capacity",
            "ms",
            {"p50": p50, "p99": p99, "p99 from sending": from_sending, "p99 of sending too late": late},
            log_y=True,
        ),
        LinePanel("What the load itself took", "offered load / capacity", "% of one core", {"generator": core}),
    ]


def _curve(
    by_factor: dict[float, list[Measurement]], figure: Callable[[Measurement], float | None]
) -> list[tuple[float, float | None]]:
    """Return the median of a figure over the rounds, for every load."""
    return [(factor, _median([figure(one) for one in those])) for factor, those in by_factor.items()]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


if __name__ == "__main__":
    typer.run(main)
