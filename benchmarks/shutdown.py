"""`python -m benchmarks.shutdown`: how many requests are lost when the service ends or reloads, and how long it takes.

A service is started for each run and ended with SIGTERM, under load and idle. With `--reload` it is started once, and
each run is a SIGHUP under load, which replaces its workers.
"""

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from benchmarks import machine, results
from benchmarks.clients import Outcome, ask, ask_until
from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.environments import ROOT
from benchmarks.operations import run_service
from benchmarks.results import format_range, render_table
from benchmarks.servers import HOST, Server, ServerError, find_workers

LOAD_SECONDS = 1  # before the signal
SURE_SECONDS = 0.5  # a request within this time of SIGTERM has an answer

_MOST_IDLE_SECONDS = 2  # from SIGTERM to the end of an idle service
_WAIT_SECONDS = 60
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Run:
    """One signal: the requests that must be answered, sent `before` and `after` it, how many of both were `lost`.

    `seconds` are those from the signal until the service has ended, or until all its workers are replaced.
    """

    case: str
    before: int
    after: int
    lost: int
    seconds: float


def main(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="How often everything is measured.")] = 20,
    clients: Annotated[int, typer.Option(min=1, max=500, help="Clients; half of them keep their connections.")] = 50,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Workers of the service.")] = 2,
    reload: Annotated[bool, typer.Option("--reload", help="Send SIGHUP instead of SIGTERM.")] = False,
    out: Out = OUT,
) -> None:
    """Count the requests that are lost when the service ends, and time its end; fail if there are any."""
    constant = machine.describe() | {"plan": {"clients": clients, "workers": workers}}
    found: list[Run] = []
    with telling_errors():
        for run in _reload(runs, clients, workers) if reload else _end(runs, clients, workers):
            found.append(run)
            print(f"run {len(found)}, {run.case}: {run.lost} lost, {run.seconds:.2f} s", flush=True)
            path = out / ("shutdown-reload.json" if reload else "shutdown.json")
            results.save(path, constant | {"runs": [asdict(one) for one in found]})
        print(f"\n{_render(found)}")
        _check(found)


def count(case: str, outcomes: Sequence[Outcome], signalled_at: float, seconds: float, sure_seconds: float) -> Run:
    """Return the run of these outcomes; requests sent more than `sure_seconds` after the signal do not count."""
    sure = [one for one in outcomes if one.sent_at < signalled_at + sure_seconds]
    before = sum(one.sent_at < signalled_at for one in sure)
    return Run(case, before, len(sure) - before, sum(one.status != 200 for one in sure), seconds)


def _end(runs: int, clients: int, workers: int) -> Iterator[Run]:
    for _ in range(runs):
        with run_service(ROOT / "models", workers) as server:
            yield asyncio.run(_end_under_load(server, clients))
        with run_service(ROOT / "models", workers) as server:
            yield asyncio.run(_end_idle(server, clients))


def _reload(runs: int, clients: int, workers: int) -> Iterator[Run]:
    with run_service(ROOT / "models", workers) as server:
        for _ in range(runs):
            yield asyncio.run(_reload_under_load(server, clients))


async def _end_under_load(server: Server, clients: int) -> Run:
    asking = asyncio.create_task(ask_until(server.port, clients, asyncio.Event()))
    await asyncio.sleep(LOAD_SECONDS)
    signalled_at, seconds = await terminate(server)
    return count("SIGTERM under load", await asking, signalled_at, seconds, SURE_SECONDS)


async def _end_idle(server: Server, clients: int) -> Run:
    """End a service whose clients have had an answer, and keep their connections open."""
    connections = [await asyncio.open_connection(HOST, server.port) for _ in range(clients)]
    for reader, writer in connections:
        await ask(reader, writer)
    _, seconds = await terminate(server)
    for _, writer in connections:
        writer.close()
    return Run("SIGTERM, idle", 0, 0, 0, seconds)


async def terminate(server: Server) -> tuple[float, float]:
    """Send SIGTERM; return when, and the seconds until the service has ended.

    Raises:
        ServerError: it ended with an error.
        subprocess.TimeoutExpired: it does not end.
    """
    signalled_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    if status := await asyncio.to_thread(server.process.wait, _WAIT_SECONDS):
        raise ServerError(f"ended with status {status}\n{server.read_log()}")
    return signalled_at, time.monotonic() - signalled_at


async def _reload_under_load(server: Server, clients: int) -> Run:
    end = asyncio.Event()
    asking = asyncio.create_task(ask_until(server.port, clients, end))
    await asyncio.sleep(LOAD_SECONDS)
    before = set(find_workers(server.process.pid))
    signalled_at = time.monotonic()
    server.process.send_signal(signal.SIGHUP)
    while before.intersection(find_workers(server.process.pid)):
        if time.monotonic() > signalled_at + _WAIT_SECONDS:
            raise ServerError(f"the workers are not replaced within {_WAIT_SECONDS} s\n{server.read_log()}")
        await asyncio.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - signalled_at
    end.set()
    return count("SIGHUP under load", await asking, signalled_at, seconds, _WAIT_SECONDS)


def _render(found: Sequence[Run]) -> str:
    header = ["signal", "runs", "sent before", "sent after", "lost", "seconds: median (least-most)"]
    rows = []
    for case in dict.fromkeys(run.case for run in found):
        runs = [run for run in found if run.case == case]
        sums = [sum(run.before for run in runs), sum(run.after for run in runs), sum(run.lost for run in runs)]
        rows.append([case, str(len(runs)), *(f"{number:,}" for number in sums), format_range(r.seconds for r in runs)])
    return render_table(header, rows)


def _check(found: Sequence[Run]) -> None:
    """Raise the error if requests were lost, or if an idle service took too long to end.

    Raises:
        ServerError: with the number of requests, or the seconds.
    """
    if lost := sum(run.lost for run in found):
        raise ServerError(f"{lost} requests were lost")
    slowest = max((run.seconds for run in found if not run.before), default=0)
    if slowest > _MOST_IDLE_SECONDS:
        raise ServerError(f"an idle service took {slowest:.2f} s to end, more than {_MOST_IDLE_SECONDS}")


if __name__ == "__main__":
    typer.run(main)
