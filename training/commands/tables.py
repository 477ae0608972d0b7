"""Figures as tables on the terminal."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bundle.store import Bundle
from training import recipes
from training.commands.terminal import say
from training.evaluation.verdicts import compare
from training.recipes.recipe import Recipe
from training.reports.figures import COLUMNS
from training.reports.serving import describe_serving

if TYPE_CHECKING:
    from training.evaluation.evaluate import LabelFigures


def tell_published(bundle: Bundle, recipe: Recipe, progress: Console, example: str | None = None) -> None:
    """Print the figures of a new bundle beside those of its source or of its baseline, how to serve it, and its folder.

    `example` is a text of the data, for the request.
    """
    manifest = bundle.manifest
    found = manifest.metrics
    if isinstance(baseline := manifest.recipe.get("baseline"), dict):
        others = {name: figure for name, figure in baseline.items() if isinstance(figure, float) and name in found}
        print_metrics(found, others, "TF-IDF", progress)
    else:
        others = {} if manifest.dataset.files else _list_published(recipe, found)
        print_metrics(found, others, COLUMNS[0], progress)
    say(describe_serving(bundle, example), progress)
    if isinstance(baseline, dict):
        say(compare(found["accuracy"], others["accuracy"]), progress)
    say(f"Published {bundle.folder}")


def _list_published(recipe: Recipe, found: Iterable[str]) -> dict[str, float]:
    return {name: figure for name in found if (figure := recipes.find_published(recipe, name)) is not None}


def print_metrics(found: dict[str, float], others: dict[str, float], whose: str, progress: Console) -> None:
    """Print figures beside other figures of the same names; `whose` is the heading of the others."""
    table = Table("metric", "measured", whose)
    for name, value in format_figures(found).items():
        table.add_row(name, value, format_figures(others).get(name, "-"))
    progress.print(table)


def print_labels(figures: Sequence["LabelFigures"], progress: Console) -> None:
    """Print precision, recall and F1 of each label."""
    table = Table("label", "examples", "precision", "recall", "F1")
    for label, examples, *shares in figures:
        table.add_row(escape(label), f"{examples:,}", *("-" if math.isnan(each) else f"{each:.4f}" for each in shares))
    progress.print(table)


def format_figures(metrics: dict[str, float]) -> dict[str, str]:
    """Return figures with four digits after the point."""
    return {name: f"{value:.4f}" for name, value in metrics.items()}
