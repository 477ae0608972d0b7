"""The report that compares the recorded runs with the published figures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.recipes import RECIPES
from training.recipes.recipe import Family, Recipe
from training.reports.figures import COLUMNS, Measured, find_figures, show_minutes
from training.reports.results import HELD_OUT, LOWER_IS_BETTER, SEEDS, Results, Run, Variant, variants

_TITLES: dict[Family, str] = {
    "alphabet": "Next letter of the alphabet",
    "classifier": "Classifier stack",
    "imdb": "IMDB review sentiment",
}


_DIGITS = 4  # shown digits of a figure


@dataclass(frozen=True)
class Row:
    """A recipe, or its fast variant, with its recorded runs, at least one."""

    recipe: Recipe
    variant: Variant
    runs: list[Run]

    def figures(self, metric: str) -> list[float]:
        """Return the figure of every run."""
        return [run.metrics[metric] for run in self.runs]

    def verdict(self, metric: str) -> str:
        """Return the comparison of the mean over the seeds with the published figure.

        A difference within two standard deviations of the seeds is noise, because the published figure is one run.
        """
        figures = self.figures(metric)
        gain = round(statistics.mean(figures), _DIGITS) - round(self.recipe.published[metric], _DIGITS)
        if metric in LOWER_IS_BETTER:
            gain = -gain
        noise = 2 * statistics.stdev(figures) if len(figures) > 1 else 0.0
        if gain >= 0:
            return "beaten" if gain > noise else "reached"
        return "reproduced" if gain >= -noise else "missed"


def write_report(results: Results, path: Path, measured: Sequence[Measured] = ()) -> None:
    """Write the report, Markdown, and for each family a plot of the learning curves, PNG, in a folder beside it.

    `measured` has the figures of the bundles.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_INTRODUCTION.format(seeds=_list_seeds())]
    for family, title in _TITLES.items():
        rows = [
            Row(recipe=recipe, variant=variant, runs=runs)
            for recipe in RECIPES.values()
            if recipe.family == family
            for variant, settings in variants(recipe, fast_only=False)
            if (runs := results.of(settings))
        ]
        if rows:
            image = folder / f"{family}.png"
            _plot(rows, image)
            parts += [
                f"## {title}\n",
                _render(rows, results, measured),
                f"![learning curves]({folder.name}/{image.name})\n",
            ]
    parts.append(_render_versions(results.runs))
    path.write_text("\n".join(parts), encoding="utf-8")


_INTRODUCTION = """\
# Results

Are the recipes as good as the systems that they reproduce? Here is every reference system as a recipe, with its
published figure and ours. `python -m training report` writes this page from the runs in [results.jsonl](results.jsonl)
and the bundles in `models/`, after training the missing runs; `report --fast` trains only the fast variants, and with
an empty results file it rebuilds all their figures.

A figure of a recipe is in one of four columns:

- **published by the source**: one run, with other data orders and other releases of the frameworks;
- **published settings**: the mean of our runs with the settings of the source, with the lowest and the highest value
  and the number of runs, which differ in their seeds. `python -m training train RECIPE` trains the first seed, and
  `--seed` chooses another: {seeds};
- **fast variant**: the same with `--set fast=true`;
- **bundle (one run)**: of the bundle that is published in `models/`.

The noise is two standard deviations of the seeds, because the published figure is one run. The published
figure is **beaten** if the mean is better by more than the noise, **reached** if it is better by less or equal as
shown, **reproduced** if it is worse by at most the noise, else **missed**. Letters are evaluated on all patterns of the
recipe, as in the sources; reviews on the 25,000 test reviews, which are used for neither training nor selection. The
validation accuracy is the accuracy of the final network on held-out training data. The minutes are the mean of the
runs, on two cores; the longest runs shared these cores with other work, which about doubled their time.
"""


def _list_seeds() -> str:
    """Return the seeds of each family's rows."""
    first = {recipe.family: recipe.settings.seed for recipe in RECIPES.values()}
    return "; ".join(
        f"{first[family]} to {first[family] + SEEDS[family] - 1} for the {family} recipes"
        for family in _TITLES
        if family in first
    )


def _render(rows: Sequence[Row], results: Results, measured: Sequence[Measured]) -> str:
    """Return a table with a row for every figure of every recipe."""
    source, published, fast, bundle = COLUMNS
    lines = [
        f"| recipe | figure | {source} | {published} | | {fast} | | {bundle} | minutes, {published} | minutes, {fast} "
        "| parameters |",
        "|---|---|---:|---:|---|---:|---|---:|---:|---:|---:|",
    ]
    for recipe in {row.recipe.name: row.recipe for row in rows}.values():
        of_recipe = {row.variant: row for row in rows if row.recipe.name == recipe.name}
        first = next(iter(of_recipe.values())).runs[0]
        metrics = list(recipe.published) or ["accuracy"]
        if HELD_OUT in first.metrics.keys() - set(metrics):
            metrics.append(HELD_OUT)
        for metric in metrics:
            figures = find_figures(results, measured, recipe, metric)
            verdicts: dict[str, str] = {}
            if metric in recipe.published:
                verdicts = {variant: row.verdict(metric) for variant, row in of_recipe.items()}
            times = [show_minutes(runs.seconds) if runs else "-" for runs in (figures.published, figures.fast)]
            shown = figures.cells
            cells = [f"`{recipe.name}`", metric.replace("_", " "), *shown[:2], verdicts.get("published", "")]
            cells += [shown[2], verdicts.get("fast", ""), shown[3], *times, f"{first.parameters:,}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _render_versions(runs: Sequence[Run]) -> str:
    made = sorted({", ".join(f"{name} {version}" for name, version in run.frameworks.items()) for run in runs})
    cores = sorted({run.cores for run in runs})
    if not made:
        return "No run is recorded.\n"
    return f"Made on {' or '.join(map(str, cores))} cores with {'; or '.join(made)}.\n"


def _plot(rows: Sequence[Row], path: Path) -> None:
    """Plot accuracy by epoch, the mean over the seeds as a line and their range as a band, a panel for each recipe."""
    lines = [(row, key) for row in rows for key in ("accuracy", "val_accuracy") if key in row.runs[0].curve]
    recipes = list(dict.fromkeys(row.recipe.name for row in rows))
    columns = min(3, len(recipes))
    height = -(-len(recipes) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * height), layout="constrained")
    grid = figure.subplots(height, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(recipes) :]:
        axes.set_visible(False)
    for row, key in lines:
        axes = grid.flat[recipes.index(row.recipe.name)]
        shortest = min(row.runs, key=lambda run: run.epochs[-1])  # the line ends with the run that stopped first
        epochs = shortest.epochs
        values = np.array([np.interp(epochs, run.epochs, run.curve[key]) for run in row.runs])
        held_out = key == "val_accuracy"
        label = f"{row.variant}, {'held out' if held_out else 'training'}"
        colour = {"published": "#0072b2", "fast": "#d55e00"}[row.variant]
        axes.plot(epochs, values.mean(axis=0), label=label, color=colour, linestyle="--" if held_out else "-")
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        axes.set(title=row.recipe.name, xlabel="epoch")
    for axes in grid.flat[: len(recipes)]:
        if axes.get_xlim()[1] > 50:
            axes.set_xscale("log")
        else:
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    for axes in grid[:, 0]:
        axes.set(ylabel="accuracy")
    figure.savefig(path, dpi=100)
