"""`python -m benchmarks.transfer`: a network trained on a few labelled texts, beside TF-IDF with logistic regression.

The texts are the product reviews in `benchmarks/products`, which no published network has learnt from, and by which
nothing was chosen. No author is in both parts of a split; each seed has another split.
"""

import csv
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.results import render_table
from bundle.store import Store, open_bundle
from training import pipeline, recipes
from training.commands.options import AssignmentsOption
from training.data.sources import Sources
from training.labelled.parts import measure_baseline_of
from training.labelled.reading import read_texts
from training.recipes.labelled import FIRST, LabelledSettings

Row = tuple[str, str, str]  # text, label, author

PRODUCTS = Path(__file__).parent / "products"
SIDES = {2: ("negative", "positive"), 3: ("negative", "neutral", "positive")}


def main(
    start: Annotated[
        Path | None, typer.Option("--from", help="The bundle to start from.  [default: the latest sentiment]")
    ] = None,
    models: Annotated[Path, typer.Option(help="The folder of the bundles.")] = Path("models"),
    reviews: Annotated[
        Path, typer.Option(help="The folder of the reviews; settings are chosen by those in its `development`.")
    ] = PRODUCTS,
    seeds: Annotated[int, typer.Option(min=1, help="Number of splits.")] = 5,
    assignments: AssignmentsOption = None,
    out: Out = OUT,
) -> None:
    """Print and write the accuracy of both on two and on three labels, the mean over the splits."""
    with telling_errors(), TemporaryDirectory() as name:
        folder, store, console = Path(name), Store(Path(name) / "models"), Console(quiet=True)
        first = open_bundle(start) if start else Store(models).open(FIRST)
        rows = []
        for labels in SIDES:
            data = write(folder / f"labels{labels}.csv", list_rows(labels, reviews))
            found = []
            for seed in range(1, seeds + 1):
                options = ["group_column=author", f"seed={seed}", *(assignments or [])]
                recipe = recipes.find("reviews").with_settings(options)
                assert isinstance(recipe.settings, LabelledSettings)
                texts = read_texts(recipe.settings, Sources(data))
                sources = Sources(data, labelled=texts)
                bundle = pipeline.train(recipe, "transfer", store, sources, console, first)
                baseline = measure_baseline_of(recipe.settings, texts)
                assert baseline
                found.append((bundle.manifest.metrics["accuracy"], baseline.accuracy, texts.description.train_rows))
                print(f"{labels} labels, seed {seed}: {found[-1][0]:.2%}, baseline {baseline.accuracy:.2%}")
            network, other, trained = map(statistics.mean, zip(*found, strict=True))
            points = f"{100 * (network - other):+.1f}"
            rows.append([str(labels), f"{trained:,.0f}", f"{network:.2%}", f"{other:.2%}", points])
    table = render_table(["labels", "training rows", "network", "TF-IDF", "points"], rows, 0)
    print(table)
    (out / "transfer.md").write_text(f"{table}\n", encoding="utf-8")


def list_rows(labels: int, reviews: Path = PRODUCTS) -> Iterator[Row]:
    """Yield the reviews in a folder with one of 2 or 3 labels, by author."""
    for path in sorted(reviews.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            label, text = line.split("\t")
            if label in SIDES[labels]:
                yield text, label, path.stem


def write(path: Path, rows: Iterator[Row]) -> Path:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label", "author"), *rows])
    return path


if __name__ == "__main__":
    typer.run(main)
