"""`python -m benchmarks.parallelism`: the best numbers of processes and threads on this machine."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from app.settings import PREFIX, Settings
from benchmarks import contenders, machine, results, reviews, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, Seconds, telling_errors
from benchmarks.contenders import OURS, Contender
from benchmarks.results import Panel, format_range, render_table
from benchmarks.servers import HOST
from bundle.store import Bundle

_WARM_UP_SECONDS = 1
_BY = "processes/threads"


@dataclass(frozen=True)
class Choice:
    """Settings of the service: processes, and cores that a batch may use."""

    workers: int
    engine_threads: int

    @property
    def label(self) -> str:
        """Its name in a plot."""
        return f"{self.workers}/{self.engine_threads}"


_DEFAULTS = Settings.model_construct()  # without the environment
_DEFAULT = Choice(_DEFAULTS.workers, _DEFAULTS.engine_threads)
_OTHERS = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1))
_CHOICES = tuple(dict.fromkeys([_DEFAULT, *(Choice(*numbers) for numbers in _OTHERS)]))  # without duplicates


@dataclass(frozen=True)
class Measurement:
    """One choice in one round: requests a second over many connections, the median over one in ms, memory in MiB."""

    round: int
    bundle: str
    choice: Choice
    throughput: float
    p50: float
    memory: float


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    concurrency: Annotated[int, typer.Option(min=2, max=256, help="Connections for the throughput.")] = 64,
    seconds: Seconds = 4,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure the service with several numbers of processes and threads, on real reviews of mixed lengths."""
    found: list[Measurement] = []
    with telling_errors(), tempfile.TemporaryDirectory() as folder:
        wrk.find()
        sample = reviews.sample(data)
        plan = {"bundles": bundle, "concurrency": concurrency, "seconds": seconds, "rounds": rounds}
        constant = machine.describe() | {"plan": plan}
        opened = {name: reviews.open_bundle(name)[0] for name in bundle}
        bodies = {name: contenders.find(name)[OURS].write_bodies(Path(folder) / name, sample) for name in bundle}
        for number in range(1, rounds + 1):
            for at in range(len(_CHOICES)):
                choice = _CHOICES[(at + number - 1) % len(_CHOICES)]  # each round starts with another choice
                found += _visit(choice, opened, bodies, number, concurrency, seconds)
                results.save(out / "parallelism.json", constant | {"measurements": [asdict(one) for one in found]})
        _show(bundle, found, concurrency, out)


def _visit(
    choice: Choice,
    bundles: Mapping[str, Bundle],
    bodies: Mapping[str, Path],
    number: int,
    concurrency: int,
    seconds: int,
) -> list[Measurement]:
    """Start the service and measure it with each bundle."""
    found = []
    variables = {f"{PREFIX}{name.upper()}": str(value) for name, value in asdict(choice).items()}
    first: Contender = contenders.find(next(iter(bundles)))[OURS]
    with first.run(next(iter(bundles.values())), variables=variables) as server:
        for name in bundles:
            url = f"http://{HOST}:{server.port}{first.path}"
            loads = []
            for connections in (1, concurrency):
                server.settle()
                wrk.run(url, bodies[name], connections, _WARM_UP_SECONDS)
                server.settle()
                loads.append(wrk.run(url, bodies[name], connections, seconds))
            if loads[0].p50 is None:
                raise wrk.WrkError(f"{url} answered nothing")
            found.append(Measurement(number, name, choice, loads[1].throughput, loads[0].p50, server.memory()))
            print(f"round {number}, {choice.label}, {name}: {found[-1].throughput:,.0f}/s", flush=True)
    return found


def _show(names: Sequence[str], found: Sequence[Measurement], concurrency: int, out: Path) -> None:
    fastest, p50 = f"requests/s over {concurrency}", "p50 over 1, ms"
    header = ["processes", "threads", fastest, "/ default", p50, "/ default", "memory MiB"]
    columns, blocks = [], []
    for name in names:
        by_choice = {choice: [x for x in found if (x.bundle, x.choice) == (name, choice)] for choice in _CHOICES}
        default = by_choice[_DEFAULT]
        rows = [
            [
                *map(str, asdict(choice).values()),
                format_range(one.throughput for one in those),
                f"{median(one.throughput / base.throughput for one, base in zip(those, default, strict=True)):.2f}",
                format_range(one.p50 for one in those),
                f"{median(one.p50 / base.p50 for one, base in zip(those, default, strict=True)):.2f}",
                format_range(one.memory for one in those),
            ]
            for choice, those in by_choice.items()
        ]
        blocks += [f"**{name}**: median (least-most), and median of the rounds' ratios", render_table(header, rows, 2)]
        panels = [
            Panel(
                f"{fastest}, by {_BY}",
                "per second",
                {c.label: median(x.throughput for x in those) for c, those in by_choice.items()},
            ),
            Panel(f"{p50}, by {_BY}", "ms", {c.label: median(x.p50 for x in those) for c, those in by_choice.items()}),
        ]
        columns.append((name, panels))
    results.draw_bars(out / "parallelism.png", columns, {_DEFAULT.label})
    results.report(out / "parallelism", blocks)


if __name__ == "__main__":
    typer.run(main)
