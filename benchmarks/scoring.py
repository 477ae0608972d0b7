"""`python -m benchmarks.scoring`: whole files, against the engine alone and against a script; and their memory."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from app.engines import load_engine
from app.runtime.grouping import Grouping
from app.scoring.scorer import choose_batches
from app.scoring.workers import WINDOW_TEXTS
from app.settings import Settings
from app.tasks import SERVED
from benchmarks import machine, results
from benchmarks.commands import OUT, Data, Out, Rounds, telling_errors
from benchmarks.environments import ROOT
from benchmarks.results import Panel, format_figure, format_range, render_table
from benchmarks.servers import HOST, Server, ServerError, find_free_port, find_workers, measure_memory, serve
from bundle.store import Store
from training.data import imdb

FILE, ENGINE, SCRIPT = "python -m app score", "the engine alone", "a script that posts batches of 128"
_SHORT_WORDS = 15
_GROUP_ROWS = 65_536


@dataclass(frozen=True)
class Measurement:
    """One way in one round: seconds from start to end, and rows a second."""

    round: int
    way: str
    seconds: float
    rate: float


def main(
    data: Data = None,
    models: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the bundles.")] = ROOT
    / "models",
    model: Annotated[str, typer.Option(help="A sentiment model in it.")] = "sentiment",
    reviews: Annotated[int, typer.Option(min=1, max=50_000, help="Labelled reviews to score.")] = 50_000,
    memory_rows: Annotated[int, typer.Option(min=0, help="Rows of the file whose scoring is watched.")] = 10_000_000,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Score reviews from Parquet, run the engine alone and a script, alternately; then watch a large file's memory."""
    with telling_errors(), tempfile.TemporaryDirectory() as place:
        folder, settings = Path(place), Settings(models=models.resolve())
        dataset = imdb.load(data)
        texts = [review.text for review in (*dataset.train, *dataset.test)][:reviews]
        plan = {"model": model, "reviews": len(texts), "memory_rows": memory_rows, "processes": settings.workers}
        constant = machine.describe() | {"plan": plan}
        source = folder / "reviews.parquet"
        write_reviews(source, texts)
        found: list[Measurement] = []
        memory: list[float] = []

        def save() -> None:
            measured = {"measurements": [asdict(one) for one in found], "memory": memory}
            results.save(out / "scoring.json", constant | measured)

        ways: dict[str, Callable[[], float]] = {
            ENGINE: lambda: _run_engine(settings, model, texts),
            FILE: lambda: _run_command(settings, model, source, folder / "scored.parquet"),
            SCRIPT: lambda: _run_script(settings, model, source, folder / "posted.csv"),
        }
        for number in range(1, rounds + 1):
            for way, run in ways.items():
                seconds = run()
                found.append(Measurement(number, way, seconds, len(texts) / seconds))
                print(f"round {number} of {rounds}, {way}: {found[-1].rate:,.0f} rows/s", flush=True)
                save()
        if memory_rows:
            short = [" ".join(text.split()[:_SHORT_WORDS]) for text in texts]
            write_reviews(folder / "long.parquet", islice(cycle(short), memory_rows))
            _run_command(settings, model, folder / "long.parquet", folder / "scored-long.parquet", memory)
            save()
        _show(found, memory, out)


def write_reviews(path: Path, texts: Iterable[str]) -> None:
    """Write texts as Parquet."""
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    with parquet.ParquetWriter(path, arrow.schema([("review", arrow.string())])) as writer:
        for group in _take(texts, _GROUP_ROWS):
            writer.write_table(arrow.table({"review": group}))


def _take(texts: Iterable[str], count: int) -> Iterator[list[str]]:
    left = iter(texts)
    while group := [*islice(left, count)]:
        yield group


def _run_command(
    settings: Settings, model: str, source: Path, output: Path, memory: list[float] | None = None
) -> float:
    """Score a file from start to end, and return the seconds; collect the memory in MiB each second if it is asked.

    Raises:
        ServerError: it failed.
    """
    command = [sys.executable, "-m", "app", "--models", str(settings.models), "--workers", str(settings.workers)]
    command += ["score", str(source), str(output), "--text-column", "review", "--model", model]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env=_make_environment(), stderr=subprocess.PIPE) as process:
        while memory is not None and process.poll() is None:
            memory.append(round(measure_memory([process.pid, *find_workers(process.pid)]), 1))
            time.sleep(1)
        _, error = process.communicate()
    seconds = time.perf_counter() - started
    output.unlink(missing_ok=True)
    if process.returncode:
        raise ServerError(f"{' '.join(command)} failed: {error.decode()}")
    return seconds


def _run_script(settings: Settings, model: str, source: Path, output: Path) -> float:
    """Start the service, and return the seconds of the script without it."""
    with _run_service(settings) as server:
        url = f"http://{HOST}:{server.port}"
        script = [sys.executable, str(ROOT / "benchmarks" / "posting.py"), url, model, str(source), str(output)]
        started = time.perf_counter()
        subprocess.run(script, check=True)
        return time.perf_counter() - started


@contextmanager
def _run_service(settings: Settings) -> Iterator[Server]:
    port = find_free_port()
    variables = {"MODELS": str(settings.models), "PORT": str(port), "WORKERS": str(settings.workers)}
    variables["LOG_LEVEL"] = "WARNING"
    environment = _make_environment() | {f"LSTM_SERVE_{name}": value for name, value in variables.items()}
    with serve([sys.executable, "-m", "app"], environment, port, "/readyz") as server:
        server.settle()
        yield server


def _make_environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_SERVE_")}
    return inherited | {"PYTHONPATH": str(ROOT)}


def _run_engine(settings: Settings, model: str, texts: Sequence[str]) -> float:
    """Return the seconds in which the engine runs texts that are coded before, in several processes at once."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(settings.workers)]
    processes = [
        context.Process(target=run_part, args=(other, settings, model, texts[number :: settings.workers]))
        for number, (_, other) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for mine, _ in pipes:
        mine.recv()
    started = time.perf_counter()
    for mine, _ in pipes:
        mine.send("start")
    for mine, _ in pipes:
        mine.recv()
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return seconds


def run_part(connection: Connection, settings: Settings, model: str, texts: Sequence[str]) -> None:
    """Code texts in a process, then wait for a signal, and run the engine on them in the batches of a scoring."""
    bundle = Store(settings.models).open(model)
    engine = load_engine(bundle, settings)
    grouping = Grouping(engine.batch_rows)
    rows = [SERVED[bundle.manifest.task].encode(bundle, text).row for text in texts]
    batches: list[list[Any]] = []
    for begin in range(0, len(rows), WINDOW_TEXTS):
        window = rows[begin : begin + WINDOW_TEXTS]
        steps = {place: engine.count_steps(row) for place, row in enumerate(window)}
        batches += [[window[place] for place in batch] for batch in choose_batches(grouping, steps)]
    connection.send("ready")
    connection.recv()
    for batch in batches:
        engine.run(batch)
    connection.send("done")


def _show(found: Sequence[Measurement], memory: Sequence[float], out: Path) -> None:
    ways = list(dict.fromkeys(one.way for one in found))
    rates = {way: [one.rate for one in found if one.way == way] for way in ways}
    rows = [[way, format_range(rates[way]), _compare(rates[FILE], rates[way])] for way in ways]
    results.draw_bars(
        out / "scoring.png",
        [("Whole files", [Panel("reviews a second", "rows/s", {way: median(rates[way]) for way in ways})])],
        {FILE},
    )
    blocks = [
        "Reviews a second: median of the rounds (least-most), and how many times as many a file scored has",
        render_table(["way", "rows/s", "file / way"], rows),
    ]
    if memory:
        blocks.append(f"Largest resident memory while the large file was scored: {format_figure(max(memory))} MiB")
    results.report(out / "scoring", blocks)


def _compare(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the ratios within a round."""
    return f"{median(one / other for one, other in zip(ours, theirs, strict=True)):.2f}"


if __name__ == "__main__":
    typer.run(main)
