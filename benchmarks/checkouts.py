"""`python -m benchmarks.checkouts NAME=FOLDER ...`: the gain of a change, from checkouts measured alternately.

A service of a checkout may need API keys (`--keys NAME`): so this also measures what keys cost.
"""

import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from app.access.keys import add_client
from app.settings import PREFIX
from benchmarks import contenders, machine, openloop, results, reviews, targets, wrk
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Seconds, telling_errors
from benchmarks.contenders import OURS
from benchmarks.openloop import Order
from benchmarks.results import Panel, format_figure, render_table
from benchmarks.servers import HOST
from benchmarks.targets import Target
from benchmarks.wrk import Load

_WARM_UP_SECONDS = 2
_FEWEST_ROUNDS = 6  # fewer rounds give no 95 % interval of the median
_Z = 1.96  # quantile of the normal distribution for a 95 % interval


@dataclass(frozen=True)
class Measurement:
    """One checkout in one round over `connections`: answers a second, and latencies in milliseconds.

    With 0 connections it is a flood: the rate is the goodput, and the latencies are of accepted requests.
    """

    round: int
    bundle: str
    checkout: str
    connections: int
    rate: float
    p50: float | None
    p99: float | None


def main(
    checkout: Annotated[
        list[str], typer.Argument(metavar="NAME=FOLDER...", help="Checkouts; the others are compared with the first.")
    ],
    data: Data = None,
    bundle: Bundles = BUNDLES,
    connections: Annotated[list[int], typer.Option(min=1, max=256, help="Connections; repeatable.")] = [1, 8, 64],  # noqa: B006
    keys: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A checkout whose service needs API keys; repeatable.")
    ] = None,
    flood: Annotated[
        float, typer.Option(min=0, max=5, help="Also send a flood of this load over capacity; 0 for none.")
    ] = 0,
    seconds: Seconds = 2,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Largest number of rounds.")] = 40,
    interval: Annotated[
        float, typer.Option(help="End early once the 95 % interval of all medians is within this share.")
    ] = 0.02,
    floor: Annotated[
        float, typer.Option(min=0, help="Fail if a checkout has less than this share of the first one's rate.")
    ] = 0,
    out: Out = OUT,
) -> None:
    """Measure checkouts of the service alternately; all run the whole time, in the environment of this checkout."""
    folders = {name: Path(folder).resolve() for name, _, folder in (each.partition("=") for each in checkout)}
    if wrong := [name for name, folder in folders.items() if not (folder / "app").is_dir()]:
        raise typer.BadParameter(f"{', '.join(wrong)}: give NAME=FOLDER with the folder of a checkout")
    keyed = set(keys or ())
    if keyed - folders.keys() or (keyed and flood):
        raise typer.BadParameter("--keys takes the name of a checkout, and a flood has no keys")
    found: list[Measurement] = []
    constant = machine.describe() | {
        "plan": {"connections": connections, "flood": flood, "seconds": seconds, "rounds": rounds},
        "keys": sorted(keyed),
        "checkouts": {name: machine.find_commit(folder) for name, folder in folders.items()},
    }
    with telling_errors(), tempfile.TemporaryDirectory() as scratch:
        wrk.find()
        sample = reviews.sample(data)
        key_file = Path(scratch) / "keys.json"
        key = add_client(key_file, "client", ["predict"], requests_per_second=100_000, texts_per_day=10**12)
        variables = {one: {f"{PREFIX}KEYS": str(key_file)} for one in keyed}
        headers = {one: [f"Authorization: Bearer {key}"] for one in keyed}
        for name in bundle:
            opened, codec = reviews.open_bundle(name)
            contender = contenders.find(name)[OURS]
            bodies = contender.write_bodies(Path(scratch) / name, reviews.mixed_lengths(codec, sample).texts)
            with ExitStack() as stack:
                servers = {
                    one: stack.enter_context(
                        replace(contender, root=folder).run(opened, variables=variables.get(one, {}))
                    )
                    for one, folder in folders.items()
                }
                loads = {
                    one: partial(
                        wrk.run, f"http://{HOST}:{server.port}{contender.path}", bodies, headers=headers.get(one, ())
                    )
                    for one, server in servers.items()
                }
                for load in loads.values():
                    load(64, _WARM_UP_SECONDS)
                capacity = 0.0
                for number in range(1, rounds + 1):
                    for one in random.sample([*servers], len(servers)):
                        found += _visit(loads[one], connections, seconds, (number, name, one))
                    if flood:
                        base = [m.rate for m in found if (m.bundle, m.connections) == (name, max(connections))]
                        capacity = capacity or max(base)
                        for one in random.sample([*servers], len(servers)):
                            order = Order(servers[one].port, contender.path, str(bodies), flood * capacity, seconds + 1)
                            flooded = openloop.run(replace(order, seed=number))
                            found.append(Measurement(number, name, one, 0, flooded.goodput, flooded.p50, flooded.p99))
                            servers[one].settle()
                    results.save(out / "checkouts.json", constant | {"measurements": [asdict(m) for m in found]})
                    widest = _find_widest([m for m in found if m.bundle == name], [*folders])
                    print(f"{name}, round {number}: widest interval {widest:.1%}", flush=True)
                    if widest < interval:
                        break
    _show(bundle, [*folders], found, out)
    if floor:
        with telling_errors():
            targets.check(list_targets(found, [*folders], floor))


def find_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval of about 95 % for the median of the distribution of these values.

    Method: ranks around the median, by the normal approximation of the binomial distribution.
    """
    ordered = sorted(values)
    count = len(ordered)
    low = math.floor(count / 2 - _Z * math.sqrt(count) / 2)
    if count < _FEWEST_ROUNDS:
        return 0.0, math.inf
    return ordered[max(low, 0)], ordered[min(count - 1 - low, count - 1)]


def _visit(
    run: Callable[[int, int], Load], connections: Sequence[int], seconds: int, of: tuple[int, str, str]
) -> list[Measurement]:
    found = []
    for number in connections:
        load = run(number, seconds)
        found.append(Measurement(*of, number, round(load.throughput, 2), load.p50, load.p99))
    return found


def list_targets(found: Sequence[Measurement], names: Sequence[str], floor: float) -> list[Target]:
    """Return the median ratio of each checkout to the first one, with its floor."""
    return [
        Target(f"{bundle}: {name} / {names[0]} at {connections}", median(ratios), floor, is_least=True)
        for bundle in dict.fromkeys(one.bundle for one in found)
        for (name, connections), ratios in _list_ratios([one for one in found if one.bundle == bundle], names).items()
    ]


def _list_ratios(found: Sequence[Measurement], names: Sequence[str]) -> Mapping[tuple[str, int], list[float]]:
    """Return the ratio of each checkout's rate to the first checkout's rate in every round."""
    first = {(one.round, one.connections): one.rate for one in found if one.checkout == names[0]}
    ratios: dict[tuple[str, int], list[float]] = {}
    for one in found:
        if one.checkout != names[0]:
            ratio = one.rate / first[one.round, one.connections]
            ratios.setdefault((one.checkout, one.connections), []).append(ratio)
    return ratios


def _find_widest(found: Sequence[Measurement], names: Sequence[str]) -> float:
    """Return half of the widest interval of a ratio, as a share of its median."""
    widths = [0.0]
    for values in _list_ratios(found, names).values():
        low, high = find_interval(values)
        widths.append((high - low) / 2 / median(values))
    return max(widths)


def _show(bundles: Sequence[str], names: Sequence[str], found: Sequence[Measurement], out: Path) -> None:
    blocks = [f"Requests a second, and the ratio to {names[0]} in the same round: median (95 % interval)"]
    plots = []
    for bundle in bundles:
        those = [one for one in found if one.bundle == bundle]
        ratios = _list_ratios(those, names)
        columns = sorted({one.connections for one in those})
        rows = []
        for name in names:
            cells = [name]
            for number in columns:
                rates = [one.rate for one in those if (one.checkout, one.connections) == (name, number)]
                cells.append(format_figure(median(rates)))
                cells.append(_describe(ratios[name, number]) if name != names[0] else "1")
            rows.append(cells)
        header, panels = ["checkout"], []
        for number in columns:
            where = f"at {number}" if number else "in a flood"
            header += [where, f"/ {names[0]}"]
            values = {name: median(ratios[name, number]) if name != names[0] else 1 for name in names}
            panels.append(Panel(f"requests a second {where}", f"share of {names[0]}", values))
        plots.append((bundle, panels))
        rounds = max(one.round for one in those)
        blocks += [f"**{bundle}**, {rounds} rounds", render_table(header, rows)]
    results.draw_bars(out / "checkouts.png", plots, {names[-1]})
    results.report(out / "checkouts", blocks)


def _describe(ratios: Sequence[float]) -> str:
    low, high = find_interval(ratios)
    return f"{median(ratios):.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    typer.run(main)
