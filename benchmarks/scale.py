"""`python -m benchmarks.scale`: past one machine, on one machine: Ray for files and for requests.

Files are scored by Ray and by the local command, alternately. Then nodes of Ray are simulated on this machine, each
with one logical processor core. Instead of an engine they have a fixed wait, so there may be more nodes than cores, and
the rest is the pipeline: reading, spreading, writing. Last, the service and Ray Serve answer requests, alternately.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from app.scoring.answers import Columns
from app.scoring.display import Display
from app.scoring.folder import list_files
from app.scoring.parts import Plan
from app.settings import Settings
from benchmarks import machine, results, wrk
from benchmarks.commands import OUT, Data, Out, Rounds, telling_errors
from benchmarks.environments import ROOT
from benchmarks.nodes import MODEL, MakeWaiting, simulate
from benchmarks.results import Panel, format_figure, format_range, render_table
from benchmarks.reviews import COUNT
from benchmarks.scoring import write_reviews
from benchmarks.servers import HOST, ServerError, find_free_port, serve
from training.data import imdb

LOCAL, RAY = "python -m app score", "python -m app score --ray"
SERVICE, RAY_SERVE = "the service", "Ray Serve"
PATH = "/sentiment"
_CONNECTIONS = 64


@dataclass(frozen=True)
class Measurement:
    """One way in one round: what was measured, and rows or requests a second."""

    round: int
    way: str
    seconds: float
    rate: float


def main(
    data: Data = None,
    models: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the bundles.")] = ROOT
    / "models",
    model: Annotated[str, typer.Option(help="A sentiment model in it.")] = "sentiment",
    reviews: Annotated[int, typer.Option(min=0, help="Reviews to score; 0 for no files.")] = 200_000,
    nodes: Annotated[list[int], typer.Option(min=1, help="A number of simulated nodes; repeatable.")] = [1, 2, 4, 8],  # noqa: B006
    rows: Annotated[int, typer.Option(min=0, help="Rows for each of them; 0 for no nodes.")] = 60_000,
    wait_ms: Annotated[float, typer.Option(min=0, help="Milliseconds of the wait for each row.")] = 1.0,
    seconds: Annotated[int, typer.Option(min=0, max=60, help="Seconds of one load; 0 for no requests.")] = 20,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure files, simulated nodes and requests, and write the figures of docs/scale.md."""
    with telling_errors(), tempfile.TemporaryDirectory() as place:
        folder, settings = Path(place), Settings(models=models.resolve())
        dataset = imdb.load(data)
        texts = [review.text for review in (*dataset.train, *dataset.test)]
        plan = {"model": model, "reviews": reviews, "rows": rows, "wait_ms": wait_ms, "cores": settings.workers}
        constant = machine.describe() | {"plan": plan}
        found: list[Measurement] = []
        ways: dict[str, Callable[[], tuple[int, float]]] = {}
        if reviews:
            source = folder / "reviews.parquet"
            write_reviews(source, islice(cycle(texts), reviews))
            ways |= {
                way: lambda way=way: (reviews, _score_file(settings, model, source, folder, way == RAY))  # type: ignore[misc]
                for way in (LOCAL, RAY)
            }
        for count in nodes if rows else ():
            source_of_nodes = folder / f"nodes-{count}"
            source_of_nodes.mkdir()
            for number in range(count):
                write_reviews(source_of_nodes / f"{number}.parquet", islice(cycle(texts), rows))
            ways[_name(count)] = lambda count=count, source=source_of_nodes: (  # type: ignore[misc]
                count * rows,
                _score_on_nodes(source, folder / "scored", count, wait_ms / 1000),
            )
        if seconds:
            bodies = folder / "bodies.jsonl"
            bodies.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts[-COUNT:]))
            ways |= {
                way: lambda way=way: _load(settings, model, bodies, seconds, way == RAY_SERVE)  # type: ignore[misc]
                for way in (SERVICE, RAY_SERVE)
            }
        for number in range(1, rounds + 1):
            for way, run in ways.items():
                done, took = run()
                found.append(Measurement(number, way, took, done / took))
                print(f"round {number} of {rounds}, {way}: {found[-1].rate:,.0f}/s", flush=True)
                results.save(out / "scale.json", constant | {"measurements": [asdict(one) for one in found]})
        _show(found, wait_ms, out)


def _name(nodes: int) -> str:
    return f"{nodes} simulated node{'s' if nodes > 1 else ''}"


def _score_file(settings: Settings, model: str, source: Path, folder: Path, on_ray: bool) -> float:
    """Return the seconds of the command from start to end.

    Raises:
        ServerError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        output = Path(place) / ("scored" if on_ray else "scored.parquet")
        command = [sys.executable, "-m", "app", "--models", str(settings.models), "--workers", str(settings.workers)]
        command += ["score", str(source), str(output), "--text-column", "review", "--model", model]
        started = time.perf_counter()
        ended = subprocess.run([*command, *(["--ray"] if on_ray else [])], cwd=ROOT, capture_output=True, text=True)
        if ended.returncode:
            raise ServerError(f"{' '.join(command)} failed: {ended.stderr}")
        return time.perf_counter() - started


def _score_on_nodes(source: Path, output: Path, nodes: int, seconds_a_text: float) -> float:
    """Return the seconds in which simulated nodes score a folder, from the start of the job to its end."""
    from cluster.scoring import connect, score

    with (
        simulate(nodes) as cluster,
        connect(cluster.address, 1),
        tempfile.TemporaryDirectory(dir=output.parent) as place,
    ):
        plan = Plan(str(source), place, None, "review", Columns(MODEL.task, MODEL.labels), part_rows=1000)
        started = time.perf_counter()
        score(plan, list_files(plan.source), MODEL, MakeWaiting(seconds_a_text), Display(StringIO()))
        return time.perf_counter() - started


def _load(settings: Settings, model: str, bodies: Path, seconds: int, on_ray: bool) -> tuple[int, float]:
    """Return the number of answers to a load, and its seconds.

    Raises:
        ServerError: the server does not start.
        WrkError: the load failed, or a request did.
    """
    port, workers = find_free_port(), settings.workers
    chosen = {"models": str(settings.models), "default_models": f"sentiment={model}", "log_level": "WARNING"}
    if on_ray:
        pairs = [f"{name}={value}" for name, value in chosen.items()]
        command = [sys.executable, "-m", "benchmarks.ray_service", str(port), str(workers), *pairs]
    else:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
        command = [sys.executable, "-m", "app", f"--port={port}", f"--workers={workers}", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    with serve(command, environment, port, "/readyz") as server:
        server.settle()
        load = wrk.run(f"http://{HOST}:{port}{PATH}", bodies, _CONNECTIONS, seconds)
    if any(load.errors.values()):
        raise wrk.WrkError(f"{command} had errors: {load.errors}")
    return load.requests, load.seconds


def _show(found: Sequence[Measurement], wait_ms: float, out: Path) -> None:
    rates = {way: [one.rate for one in found if one.way == way] for way in dict.fromkeys(one.way for one in found)}
    nodes = [way for way in rates if way not in (LOCAL, RAY, SERVICE, RAY_SERVE)]
    groups = (
        ("Files: reviews a second", LOCAL, [LOCAL, RAY]),
        (f"Simulated nodes, a wait of {wait_ms:g} ms a row: rows a second", nodes[0] if nodes else None, nodes),
        (f"Requests a second over {_CONNECTIONS} connections", SERVICE, [SERVICE, RAY_SERVE]),
    )
    measured = [(title, base, ways) for title, base, ways in groups if base in rates]
    blocks, columns = [], []
    for title, base, ways in measured:
        rows = [[way, format_range(rates[way]), _compare(rates[way], rates[base])] for way in ways]
        blocks += [f"{title}: median of the rounds (least-most)", render_table(["way", "a second", f"/ {base}"], rows)]
        columns.append((title.partition(":")[0], [Panel("rate", "1/s", {way: median(rates[way]) for way in ways})]))
    results.draw_bars(out / "scale.png", columns, {RAY, RAY_SERVE, *nodes})
    results.report(out / "scale", blocks)


def _compare(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the ratios within a round."""
    return format_figure(median(one / other for one, other in zip(ours, theirs, strict=True)))


if __name__ == "__main__":
    typer.run(main)
