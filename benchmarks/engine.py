"""`python -m benchmarks.engine`: ways to run one model, what bounds them, and the choice of batch sizes and lengths."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import tensorflow as tf
import typer

from app.engine import BATCH_SIZES
from benchmarks import machine, padding, results, reviews, roofline
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, telling_errors
from benchmarks.timings import SIZES_TRIED, SIZES_WORDS, SizeTiming, Timing, Timings
from benchmarks.ways import OURS, Run, Subject, Way, time_call

_EXACT = 1e-4


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    way: Annotated[list[str] | None, typer.Option(help="A way to run it; repeatable.  [default: all]")] = None,
    rows: Annotated[list[int], typer.Option(min=1, max=256, help="Rows of a batch; repeatable.")] = [  # noqa: B006
        1,
        4,
        8,
        16,
        32,
        64,
    ],
    words: Annotated[list[int], typer.Option(min=1, max=600, help="Words of each row; repeatable.")] = [  # noqa: B006
        8,
        32,
        64,
        128,
        256,
        400,
        500,
        600,
    ],
    threads: Annotated[int, typer.Option(min=1, max=64, help="Processor cores that a batch may use.")] = 1,
    budget: Annotated[float, typer.Option(min=0, max=5, help="Seconds in which calls are repeated.")] = 0.05,
    rounds: Rounds = 5,
    out: Out = OUT,
) -> None:
    """Measure the ways to run a model, on real words, with as many threads as the service uses by default."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    plan = {"rows": sorted(set(rows)), "threads": threads, "budget": budget, "rounds": rounds}
    constant = machine.describe() | {"plan": plan | {"words": sorted(set(words)), "bundles": bundle}}
    with telling_errors():
        texts = reviews.sample(data, reviews.ALL)
        subjects = [Subject(name, texts[: reviews.COUNT], threads) for name in bundle]
        timings = Timings(subjects, sorted(set(rows)), sorted(set(words)))
        constant["lengths"], constant["padding"] = _measure_padding(subjects, texts)
        prepared = [_prepare(subject, timings, way) for subject in subjects]
        constant["differences"] = timings.differences
        peak = roofline.measure_peak(threads)
        for number in range(1, rounds + 1):
            started = time.monotonic()
            for subject, runs in zip(subjects, prepared, strict=True):
                _measure_ways(subject, runs, timings, number, budget)
                _measure_sizes(subject, runs, timings, number, budget)
            print(f"round {number} of {rounds}: {time.monotonic() - started:.0f} s", flush=True)
            results.save(out / "engine.json", constant | timings.describe())
        _show(subjects, timings, peak, constant, out)


def _prepare(subject: Subject, timings: Timings, wanted: Sequence[str] | None) -> dict[tuple[str, int, int], Run]:
    """Return what runs each way at each point, and note how far its answers are from those of `predict`."""
    runs: dict[tuple[str, int, int], Run] = {}
    ways = [way for way in subject.ways() if not wanted or way.name in (*wanted, OURS)]
    for rows, words in timings.points(subject):
        inputs = subject.inputs(rows, words)
        expected = subject.network.predict(inputs, verbose=0)
        for way in ways:
            run = runs[way.name, rows, words] = way.prepare(rows, words)
            difference = float(abs(run(inputs) - expected).max())
            before = timings.differences[subject.name].get(way.name, 0)
            timings.differences[subject.name][way.name] = max(before, difference)
        print(f"prepared {subject.name}, {rows} rows of {words} words", flush=True)
    for rows in SIZES_TRIED:
        runs["size", rows, SIZES_WORDS] = subject.prepare_size(rows)
    return runs


def _measure_ways(
    subject: Subject, runs: dict[tuple[str, int, int], Run], timings: Timings, number: int, budget: float
) -> None:
    """Time every way at a point before the next point, so that ratios are between neighbours in time."""
    for rows, words in timings.points(subject):
        inputs = subject.inputs(rows, words)
        names = [name for name, *point in runs if point == [rows, words] and name != "size"]
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            seconds = _time(runs[name, rows, words], inputs, budget)
            timings.found.append(Timing(number, subject.name, name, rows, words, seconds))
    for rows in timings.rows:
        inputs = subject.inputs(rows, 1)
        seconds = _time(subject.engine.run, inputs, budget)
        timings.found.append(Timing(number, subject.name, OURS, rows, 1, seconds))


def _measure_sizes(
    subject: Subject, runs: dict[tuple[str, int, int], Run], timings: Timings, number: int, budget: float
) -> None:
    for rows in SIZES_TRIED:
        compiling = subject.time_compilation(rows)
        seconds = _time(runs["size", rows, SIZES_WORDS], subject.inputs(rows, SIZES_WORDS), budget)
        timings.sizes.append(SizeTiming(number, subject.name, rows, seconds, compiling))


def _time(run: Run, inputs: Any, budget: float) -> float:
    return round(time_call(lambda: run(inputs), budget), 8)


def _measure_padding(subjects: Sequence[Subject], texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    lengths = {subject.name: padding.measure_lengths(subject.codec, texts) for subject in subjects}
    described = {name: padding.describe_lengths(found) for name, found in lengths.items()}
    shares = {
        subject.name: [
            asdict(share) for share in padding.list_shares(lengths[subject.name], subject.length, BATCH_SIZES)
        ]
        for subject in subjects
    }
    return described, shares


def _show(
    subjects: Sequence[Subject], timings: Timings, peak: roofline.Peak, constant: dict[str, Any], out: Any
) -> None:
    constant["peak"] = asdict(peak)
    constant["roofline"], constant["steps"] = {}, {}
    for subject in subjects:
        ways = subject.ways()
        exact = timings.differences[subject.name]
        print(f"\n## {subject.name}\n\n{_describe_ways(ways, exact)}")
        for title, table in timings.tables(subject, {name for name, found in exact.items() if found > _EXACT}):
            print(f"\n{title}\n\n{table}")
        reached, table = timings.compare_with_roofline(subject, peak)
        constant["roofline"][subject.name] = [asdict(one) for one in reached]
        if table:
            best = f"{peak.operations / 1e9:.1f} GFlop/s ({peak.operations_by}), {peak.bytes / 1e9:.1f} GB/s copied"
            print(f"\nRoofline, {peak.threads} thread(s), at best {best}\n\n{table}")
        constant["steps"][subject.name], table = timings.break_down(subject)
        print(f"\nWhere the time of a batch goes\n\n{table}")
        print(f"\nBatch sizes, {SIZES_WORDS} words a row\n\n{timings.size_table(subject)}")
        lengths = ", ".join(f"{name} {value:,.0f}" for name, value in constant["lengths"][subject.name].items())
        print(f"\nSteps that are padding, by how the length is chosen ({lengths})\n")
        print(padding.render([padding.Share(**share) for share in constant["padding"][subject.name]]))
    results.save(out / "engine.json", constant | timings.describe())
    results.draw_lines(out / "engine.png", [(subject.name, timings.panels(subject)) for subject in subjects])
    print(f"\nwritten: {out / 'engine.json'} and engine.png")


def _describe_ways(ways: Sequence[Way], differences: dict[str, float]) -> str:
    rows = []
    for way in ways:
        if way.name in differences:
            difference = differences[way.name]
            verdict = f"{difference:.1e}" if difference <= _EXACT else f"{difference:.1e}: not exact"
            rows.append([way.name, way.meaning, verdict])
    return results.render_table(["way", "what it is", "largest difference from `predict`"], rows, 2)


if __name__ == "__main__":
    typer.run(main)
