"""The figures of the recipes, as `list` and the pages of accuracy and results show them.

They come from the recorded runs and from the manifests of the bundles, and from nowhere else. It imports neither Keras
nor TensorFlow.
"""

import json
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, FiniteFloat, JsonValue

from bundle.errors import SizeError, explain
from bundle.files import read_file
from bundle.manifest import MANIFEST_FILE
from bundle.store import Store
from training import recipes
from training.errors import ResultsError
from training.recipes.recipe import Recipe
from training.reports.results import LOWER_IS_BETTER, Results, Run, find_kind

# What a recipe's figure can be: each has a column of this name wherever figures of recipes are shown.
COLUMNS = ("published by the source", "published settings", "fast variant", "bundle (one run)")


class Measured(BaseModel):
    """The part of a manifest that has the figures of a bundle, also of one that this release cannot serve."""

    name: str
    version: int
    recipe: dict[str, JsonValue]
    metrics: dict[str, FiniteFloat]

    @property
    def recipe_name(self) -> str:
        """The name of its recipe."""
        return str(self.recipe.get("name"))


@dataclass(frozen=True)
class Spread:
    """The figures of several runs that differ in their seeds, and their mean time."""

    mean: float
    lowest: float
    highest: float
    runs: int
    seconds: float

    @classmethod
    def of(cls, runs: Sequence[Run], metric: str) -> "Spread | None":
        """Return the spread of a metric; None without runs."""
        if not runs:
            return None
        figures = [run.metrics[metric] for run in runs]
        seconds = statistics.mean(run.seconds for run in runs)
        return cls(statistics.mean(figures), min(figures), max(figures), len(figures), seconds)


@dataclass(frozen=True)
class Figures:
    """One figure of a recipe, in all its columns; None where there is none.

    Attributes:
        recipe: the recipe.
        metric: what the figure is, as in a manifest.
        source: published by the source of the recipe.
        published: of the runs with the published settings.
        fast: of the runs of the fast variant.
        bundle: of the bundle.
        settings: which settings the bundle was trained with.
    """

    recipe: Recipe
    metric: str
    source: float | None
    published: Spread | None
    fast: Spread | None
    bundle: Measured | None
    settings: Literal["published", "fast", "other"] = "other"

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The text of each of `COLUMNS`."""
        one = "-" if self.source is None else show(self.metric, self.source)
        return one, self._show_spread(self.published), self._show_spread(self.fast), self._show_bundle()

    def _show_spread(self, spread: Spread | None) -> str:
        if not spread:
            return "-"
        shown = [show(self.metric, figure) for figure in (spread.mean, spread.lowest, spread.highest)]
        return f"{shown[0]} ({shown[1]} to {shown[2]}; {spread.runs})"

    def _show_bundle(self) -> str:
        if not self.bundle or self.metric not in self.bundle.metrics:
            return "-"
        note = {"published": "", "fast": ", fast variant", "other": ", other settings"}[self.settings]
        place = f"{self.bundle.name}/{self.bundle.version}{note}"
        return f"{show(self.metric, self.bundle.metrics[self.metric])} ({place})"


def show(metric: str, figure: float) -> str:
    """Return a figure as text, as everywhere."""
    return f"{figure:.4f}" if metric in LOWER_IS_BETTER else f"{figure:.2%}".replace("%", " %")


def show_minutes(seconds: float) -> str:
    """Return a time in minutes, as everywhere."""
    return f"{seconds / 60:.1f}" if seconds >= 60 else f"{seconds / 60:.2f}"


def read_measured(folder: Path) -> Measured:
    """Read the figures of the bundle in a folder.

    Raises:
        ResultsError: its manifest cannot be read.
    """
    path = folder / MANIFEST_FILE
    try:
        return Measured.model_validate(json.loads(read_file(path)))
    except (OSError, ValueError, RecursionError, SizeError) as error:
        why = str(error) if isinstance(error, SizeError) else explain(error)
        raise ResultsError(f"{path} has no figures ({why}); restore it, or move its bundle away") from error


def list_measured(store: Store) -> tuple[list[Measured], list[str]]:
    """Return the figures of all bundles in a store, and what is wrong with the others."""
    found, problems = [], []
    for name in store.names():
        try:
            for version in store.versions(name):
                found.append(read_measured(store.root / name / str(version)))
        except ResultsError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{store.root / name} cannot be read ({explain(error)}); make it readable")
    return found, problems


def find_figures(results: Results, measured: Sequence[Measured], recipe: Recipe, metric: str | None = None) -> Figures:
    """Return a figure of a recipe, by default the first that its source published, else the accuracy.

    The bundle is the latest one of the recipe; one that has the recipe's name comes before others.
    """
    chosen = metric or next(iter(recipe.published), "accuracy")
    ranked = sorted(measured, key=lambda each: (each.name == recipe.name, each.version))
    bundle = next((each for each in reversed(ranked) if each.recipe_name == recipe.name), None)
    published, fast = (Spread.of(results.of(variant), chosen) for variant in (recipe, _find_fast(recipe)))
    return Figures(
        recipe,
        chosen,
        recipe.published.get(chosen),
        published,
        fast if recipe.fast else None,
        bundle,
        find_kind(recipe, bundle.recipe.get("settings")) if bundle else "other",
    )


def renew_table(text: str, results: Results, measured: Sequence[Measured]) -> str:
    """Return a page with the figures of its table of models renewed.

    The table has `COLUMNS` as its last columns, and in its first one the name of a model; the others stay.
    """
    latest = {each.name: each for each in sorted(measured, key=lambda each: each.version)}
    rows = dict(_renew_rows(text, results, latest))
    return "\n".join(rows.get(line, line) for line in text.split("\n"))


def _renew_rows(text: str, results: Results, latest: dict[str, Measured]) -> Iterator[tuple[str, str]]:
    (table,) = re.findall(rf"^\|.*\| {re.escape(' | '.join(COLUMNS))} \|\n\|[-|:]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = cells[0].strip("`")
        figures = find_figures(results, [latest[name]], recipes.find(latest[name].recipe_name))
        yield line, f"| {' | '.join((*cells[: -len(COLUMNS)], *figures.cells))} |"


def _find_fast(recipe: Recipe) -> Recipe:
    return recipe.with_settings(["fast=true"]) if recipe.fast else recipe
