"""`python -m benchmarks.scratch`: the recipe `reviews` on a CSV file of 25,000 film reviews, from random weights."""

import csv
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from benchmarks.commands import OUT, Data, Out, telling_errors
from benchmarks.results import render_table
from bundle.store import Store
from bundle.tasks import SENTIMENT
from training.commands.options import AssignmentsOption
from training.data import imdb
from training.data.imdb import Review


def main(
    data: Data = None,
    assignments: AssignmentsOption = None,
    out: Out = OUT,
) -> None:
    """Train on the training reviews; print the minutes of the command and the accuracy on the test reviews."""
    with telling_errors(), TemporaryDirectory() as name:
        folder = Path(name)
        dataset = imdb.load(data)
        files = [
            "--data",
            write(folder / "train.csv", dataset.train),
            "--test",
            write(folder / "test.csv", dataset.test),
        ]
        changes = [part for assignment in assignments or [] for part in ("--set", assignment)]
        models = ["--name", "scratch", "--models", str(folder / "models")]
        started = time.perf_counter()
        command = [sys.executable, "-m", "training", "train", "reviews", *files, "--from", "none", *models, *changes]
        subprocess.run(command, check=True)
        minutes = (time.perf_counter() - started) / 60
        accuracy = Store(folder / "models").open("scratch").manifest.metrics["accuracy"]
    row = [f"{len(dataset.train):,}", f"{minutes:.1f}", f"{accuracy:.2%}"]
    table = render_table(["training rows", "minutes", "accuracy"], [row], 0)
    print(table)
    (out / "scratch.md").write_text(f"{table}\n", encoding="utf-8")


def write(path: Path, reviews: Sequence[Review]) -> str:
    """Write reviews as CSV, and return the path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "sentiment"])
        writer.writerows((review.text, SENTIMENT.labels[review.label]) for review in reviews)
    return str(path)


if __name__ == "__main__":
    typer.run(main)
