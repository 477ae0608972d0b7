"""`python -m benchmarks.versions`: what clients notice while the versions of a model change, and what it costs.

Each cycle publishes a version, a corrupt one and a truncated one, rolls back to the first version, releases the new one
again, and deletes all three. Further cycles let a candidate answer shadow requests, and delete it. Without load,
versions are published and deleted to see whether memory grows. At last, services are ended while they load a version.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from benchmarks import machine, results, targets
from benchmarks.clients import ask_until
from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.environments import ROOT
from benchmarks.operations import NAME, Service, run_service
from benchmarks.results import format_range, render_table
from benchmarks.shutdown import LOAD_SECONDS, SURE_SECONDS, Run, count, terminate
from benchmarks.targets import Target
from bundle.store import Store

_NORMAL_SECONDS = 5  # of load without a change, before the cycles
_SHADOW_SHARE = 0.5
_SHADOW_INPUTS = 100  # of a candidate at least, before it is deleted
_SETTLED_RELOADS = 50  # memory after these is what later memory is compared with
_QUICK_LOOKS = {"LSTM_SERVE_WATCH_MS": "20"}  # so that most of the time until a version answers is its load
_LATEST_SIGTERM = 0.8  # of this time
_GRACE_SECONDS = 15  # from SIGTERM to SIGKILL: `stop_grace_period` in docker-compose.yml

LOADING, LOADED = "SIGTERM before the version answers", "SIGTERM after that"

T = TypeVar("T")


@dataclass(frozen=True)
class Load:
    """The requests of clients during some cycles, and 99th percentiles in seconds; `normal_p99` is that before them."""

    case: str
    cycles: int
    requests: int
    failed: int
    normal_p99: float
    p99: float


@dataclass(frozen=True)
class Change:
    """The seconds from a publication, and from the command for a roll back, until every process answers with it."""

    published: float
    rolled_back: float


@dataclass(frozen=True)
class Memory:
    """Resident memory of the service in MiB, by the number of versions that were loaded before."""

    by_reloads: dict[int, float]

    @property
    def growth(self) -> float | None:
        """Memory at the end, as a multiple of memory after the first `_SETTLED_RELOADS`; None with fewer reloads."""
        settled = self.by_reloads.get(_SETTLED_RELOADS)
        return settled and self.by_reloads[max(self.by_reloads)] / settled


def main(
    cycles: Annotated[int, typer.Option(min=1, max=10_000, help="Cycles of changes under load.")] = 100,
    shadow: Annotated[int, typer.Option(min=1, max=10_000, help="Cycles of shadow requests under load.")] = 10,
    clients: Annotated[int, typer.Option(min=1, max=500, help="Clients; half of them keep their connections.")] = 20,
    reloads: Annotated[int, typer.Option(min=1, help="Versions to load without load.")] = 1000,
    sigterm: Annotated[int, typer.Option(min=1, max=1000, help="Services to end while they load a version.")] = 20,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the service.")] = 2,
    out: Out = OUT,
) -> None:
    """Change versions under load, load many, and end services meanwhile; fail if a floor is missed."""
    found: dict[str, Any] = machine.describe() | {"plan": {"clients": clients, "workers": workers}}
    with telling_errors(), _make_store() as store:
        with run_service(store.root, workers) as server:
            service = Service(store, server)
            changing, changes = asyncio.run(_load("changes", service, clients, cycles, _change))
            shadowing, inputs = asyncio.run(_load("shadow requests", service, clients, shadow, _shadow))
        print(_render([changing, shadowing], changes), flush=True)
        found |= {"loads": [*map(asdict, (changing, shadowing))], "changes": [*map(asdict, changes)]}
        found["shadow_inputs"] = inputs
        with run_service(store.root, workers) as server:
            memory = _reload(Service(store, server), reloads)
        found["memory"] = asdict(memory)
        runs = []
        for number in range(sigterm):
            with run_service(store.root, workers, **_QUICK_LOOKS) as server:
                share = _LATEST_SIGTERM * (number + 0.5) / sigterm
                runs.append(asyncio.run(_end_while_loading(Service(store, server), clients, share)))
            print(f"SIGTERM {number + 1}: {runs[-1].lost} lost, {runs[-1].seconds:.2f} s", flush=True)
        found["sigterm"] = [*map(asdict, runs)]
        results.save(out / "versions.json", found)
        targets.check(list_targets([changing, shadowing], changes, memory, runs))


@contextmanager
def _make_store() -> Iterator[Store]:
    """Provide a store of its own with the newest version of the model."""
    with tempfile.TemporaryDirectory() as folder:
        newest = Store(ROOT / "models").open(NAME).folder
        shutil.copytree(newest, Path(folder) / NAME / newest.name)
        yield Store(Path(folder))


async def _load(
    case: str, service: Service, clients: int, cycles: int, cycle: Callable[[Service], T]
) -> tuple[Load, list[T]]:
    """Run cycles while clients ask."""
    end = asyncio.Event()
    asking = asyncio.create_task(ask_until(service.server.port, clients, end))
    await asyncio.sleep(_NORMAL_SECONDS)
    changed_at = time.monotonic()
    found = []
    for number in range(cycles):
        found.append(await asyncio.to_thread(cycle, service))
        print(f"cycle {number + 1} of {case}: {found[-1]}", flush=True)
    end.set()
    outcomes = await asking
    normal = [one.seconds for one in outcomes if one.sent_at < changed_at]
    changing = [one.seconds for one in outcomes if one.sent_at >= changed_at]
    failed = sum(one.status != 200 for one in outcomes)
    return Load(case, cycles, len(outcomes), failed, find_p99(normal), find_p99(changing)), found


def _change(service: Service) -> Change:
    """Publish, break, roll back and delete."""
    good = service.publish()
    published = service.wait_for(good)
    damaged = [
        service.publish(lambda folder: (folder / "model.int8.onnx").write_bytes(b"corrupt")),
        service.publish(lambda folder: os.truncate(folder / "word-vectors.bin", 1000)),
    ]
    service.wait_for_refusals(damaged)
    service.wait_for(good)
    started = time.monotonic()
    service.run("pin", service.first)
    service.wait_for(service.first)
    rolled_back = time.monotonic() - started
    for version in damaged:
        service.delete(version)
    service.run("unpin")
    service.wait_for(good)
    service.delete(good)
    service.wait_for(service.first)
    return Change(round(published, 3), round(rolled_back, 3))


def _shadow(service: Service) -> dict[str, int]:
    """Let a candidate answer requests too, and delete it meanwhile; return the inputs that it got, by result."""
    service.run("pin", service.first)
    candidate = service.publish()
    service.run("label", "candidate", candidate)
    service.run("shadow", _SHADOW_SHARE)
    inputs = service.count_shadow_inputs(candidate, _SHADOW_INPUTS)
    service.delete(candidate)
    service.run("shadow", 0)
    service.run("unlabel", "candidate")
    service.run("unpin")
    service.wait_for(service.first)
    return inputs


def _reload(service: Service, reloads: int) -> Memory:
    by_reloads: dict[int, float] = {}
    last = service.first
    for number in range(1, reloads + 1):
        version = service.publish()
        service.wait_for(version)
        if last != service.first:
            service.delete(last)
        last = version
        if number in (1, _SETTLED_RELOADS, reloads) or number % 100 == 0:
            service.server.settle()
            by_reloads[number] = round(service.server.memory(), 1)
            print(f"{number} reloads: {by_reloads[number]} MiB", flush=True)
    service.delete(last)
    return Memory(by_reloads)


async def _end_while_loading(service: Service, clients: int, share: float) -> Run:
    """End the service when a share of the time has passed that a version needs until it answers."""
    asking = asyncio.create_task(ask_until(service.server.port, clients, asyncio.Event()))
    await asyncio.sleep(LOAD_SECONDS)
    before = await asyncio.to_thread(service.publish)
    seconds = await asyncio.to_thread(service.wait_for, before)
    loading = await asyncio.to_thread(service.publish)
    await asyncio.sleep(share * seconds)
    version = await asyncio.to_thread(service.ask)
    signalled_at, ended = await terminate(service.server)
    case = LOADING if version == before else LOADED
    for each in (before, loading):
        service.delete(each)
    return count(case, await asking, signalled_at, ended, SURE_SECONDS)


def find_p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(seconds)[int(0.99 * len(seconds))]


def _render(loads: Sequence[Load], changes: Sequence[Change]) -> str:
    header = ["cycles of", "cycles", "requests", "failed", "p99 of normal", "published (s)", "rolled back (s)"]
    times = [format_range(one.published for one in changes), format_range(one.rolled_back for one in changes)]
    rows = [
        [one.case, str(one.cycles), f"{one.requests:,}", str(one.failed), f"{one.p99 / one.normal_p99:.2f}", *seconds]
        for one, seconds in zip(loads, (times, ["-", "-"]), strict=True)
    ]
    return render_table(header, rows)


def list_targets(loads: Sequence[Load], changes: Sequence[Change], memory: Memory, runs: Sequence[Run]) -> list[Target]:
    """Return all figures that have a bound; `loads` begins with that of the changes."""
    reloads = f"memory after {max(memory.by_reloads):,} reloads / after {_SETTLED_RELOADS}"
    during = [run for run in runs if run.case == LOADING]
    return [
        Target("failed requests", sum(load.failed for load in loads), floor=0, goal=0),
        Target("p99 during changes / normal", loads[0].p99 / loads[0].normal_p99, goal=1.5),
        Target("published everywhere, s", max(change.published for change in changes), floor=3, goal=1),
        *([Target(reloads, memory.growth, floor=1.05, goal=1.01)] if memory.growth else []),
        Target("SIGTERM: lost requests", sum(run.lost for run in runs), floor=0, goal=0),
        Target("SIGTERM: s until the service has ended", max(run.seconds for run in runs), floor=_GRACE_SECONDS),
        Target("SIGTERM: services that were still loading", len(during), floor=len(runs) / 2, is_least=True),
    ]


if __name__ == "__main__":
    typer.run(main)
