"""`python -m benchmarks.engine`: ways to run one network, the gain from batches, and the share of padding."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

# Imported before TensorFlow, so that ONNX Runtime does not get the matrix units, as in the service: see `bundle.amx`.
import bundle.onnx_session  # noqa: F401

# isort: split
import tensorflow as tf
import typer

from benchmarks import machine, padding, results, reviews
from benchmarks.commands import BUNDLES, OUT, Bundles, Data, Out, Rounds, telling_errors
from benchmarks.timings import Timing, Timings, describe_ways
from benchmarks.ways import Subject, Way, time_call


def main(
    data: Data = None,
    bundle: Bundles = BUNDLES,
    way: Annotated[list[str] | None, typer.Option(help="A way to run it; repeatable.  [default: all]")] = None,
    rows: Annotated[list[int], typer.Option(min=1, max=256, help="Rows of a batch; repeatable.")] = [  # noqa: B006
        1,
        2,
        4,
        8,
        16,
        32,
    ],
    words: Annotated[list[int], typer.Option(min=1, max=600, help="Words of each row; repeatable.")] = [  # noqa: B006
        8,
        64,
        240,
        500,
    ],
    threads: Annotated[int, typer.Option(min=1, max=64, help="Processor cores that a batch may use.")] = 1,
    budget: Annotated[float, typer.Option(min=0, max=5, help="Seconds in which calls are repeated.")] = 0.05,
    rounds: Rounds = 3,
    out: Out = OUT,
) -> None:
    """Measure the ways to run a network on real words, by default with one thread like the service."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    plan = {"bundles": bundle, "rows": sorted(set(rows)), "words": sorted(set(words)), "threads": threads}
    constant = machine.describe() | {"plan": plan | {"budget": budget, "rounds": rounds}}
    found: list[Timing] = []
    with telling_errors():
        texts = reviews.sample(data, reviews.ALL)
        subjects = [Subject(name, texts[: reviews.COUNT], threads) for name in bundle]
        ways = {subject.name: _choose_ways(subject, way) for subject in subjects}
        constant["lengths"], constant["padding"] = _measure_padding(subjects, texts)
        points = {subject.name: _list_points(subject, rows, words) for subject in subjects}
        differences = {one.name: _compare(one, ways[one.name], points[one.name]) for one in subjects}
        constant["differences_from_predict"] = differences
        for number in range(1, rounds + 1):
            started = time.monotonic()
            for subject in subjects:
                found += _measure(subject, ways[subject.name], points[subject.name], number, budget)
            print(f"round {number} of {rounds}: {time.monotonic() - started:.0f} s", flush=True)
            results.save(out / "engine.json", constant | {"timings": [asdict(timing) for timing in found]})
        _show(subjects, ways, found, constant, out)


def _choose_ways(subject: Subject, wanted: Sequence[str] | None) -> list[Way]:
    """Return the ways to measure; they always include ours, which the others are compared with."""
    if unknown := set(wanted or ()) - {way.name for way in subject.ways}:
        known = ", ".join(way.name for way in subject.ways)
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the ways to run {subject.name} are {known}")
    return [way for way in subject.ways if not wanted or way.name in (*wanted, subject.ours)]


def _list_points(subject: Subject, rows: Sequence[int], words: Sequence[int]) -> list[tuple[int, int]]:
    """Return rows and words to measure: a bundle reads no more words than its length."""
    return [(n, m) for n in sorted(set(rows)) for m in sorted({min(m, subject.length) for m in words})]


def _compare(subject: Subject, ways: Sequence[Way], points: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Return the largest difference of each way's answers from `predict`; this also warms up all ways."""
    differences = {way.name: 0.0 for way in ways}
    for rows, words in points:
        batch = subject.rows(rows, words)
        expected = subject.predict(batch)
        for way in ways:
            differences[way.name] = max(differences[way.name], float(abs(way.run(batch) - expected).max()))
    return differences


def _measure(
    subject: Subject, ways: Sequence[Way], points: Sequence[tuple[int, int]], number: int, budget: float
) -> list[Timing]:
    """Time every way at one point before the next point, so that compared timings are close in time."""
    found = []
    for rows, words in points:
        batch = subject.rows(rows, words)
        for at in range(len(ways)):
            way = ways[(at + number) % len(ways)]
            seconds = time_call(partial(way.run, batch), budget)
            found.append(Timing(number, subject.name, way.name, rows, words, round(seconds, 8)))
    return found


def _measure_padding(subjects: Sequence[Subject], texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    lengths = {subject.name: padding.measure_lengths(subject.codec, texts) for subject in subjects}
    described = {name: padding.describe_lengths(found) for name, found in lengths.items()}
    shares = {
        subject.name: [
            asdict(share) for share in padding.list_shares(lengths[subject.name], subject.length, subject.batch_rows)
        ]
        for subject in subjects
    }
    return described, shares


def _show(
    subjects: Sequence[Subject],
    ways: dict[str, list[Way]],
    found: Sequence[Timing],
    constant: dict[str, Any],
    out: Path,
) -> None:
    blocks, columns = [], []
    for subject in subjects:
        name, timings = subject.name, Timings(found, subject)
        columns.append((name, timings.panels()))
        differences = constant["differences_from_predict"][name]
        meanings = [(way.name, way.meaning, differences[way.name]) for way in ways[name]]
        lengths = ", ".join(f"{label} {value:,.0f}" for label, value in constant["lengths"][name].items())
        shares = [padding.Share(**share) for share in constant["padding"][name]]
        blocks += [f"## {name}", describe_ways(meanings)]
        blocks += [block for title, table in timings.tables() for block in (f"**{title}**", table)]
        blocks += [f"**Steps that are padding**, by how the length is chosen ({lengths})", padding.render(shares)]
    results.draw_lines(out / "engine.png", columns)
    results.report(out / "engine", blocks)


if __name__ == "__main__":
    typer.run(main)
