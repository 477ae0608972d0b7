"""The report that compares the recorded runs with the published figures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.recipes import RECIPES
from training.recipes.recipe import Family, Recipe
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


def write_report(results: Results, path: Path) -> None:
    """Write the report, Markdown, and for each family a plot of the learning curves, PNG, in a folder beside it."""
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
            parts += [f"## {title}\n", _render(rows), f"![learning curves]({folder.name}/{image.name})\n"]
    parts.append(_render_versions(results.runs))
    path.write_text("\n".join(parts), encoding="utf-8")


_INTRODUCTION = """\
# Results

Every reference system as a recipe, with its published figure and ours. `python -m training report` writes this page
from the runs in [results.jsonl](results.jsonl), after training the missing runs; `report --fast` trains only the fast
variants, and with an empty results file it rebuilds all their rows.

A row has the mean over the seeds, with the lowest and the highest value in brackets. `published` has the settings of
the source, `fast` the settings of `--set fast=true`. The command trains the first seed; `--seed` chooses another:
{seeds}.

The noise is two standard deviations of the seeds, because the published figure is one run. A row is **beaten** if the
mean is better than the published figure by more than the noise, **reached** if it is better by less or equal as shown,
**reproduced** if it is worse by at most the noise, else **missed**. Letters are evaluated on all patterns of the
recipe, as in the sources; reviews on the 25,000 test reviews, which are used for neither training nor selection. The
validation accuracy is the accuracy of the final network on held-out training data. The seconds are for two cores; the
longest runs shared these cores with other work, which about doubled their time.
"""


def _list_seeds() -> str:
    """Return the seeds of each family's rows."""
    first = {recipe.family: recipe.settings.seed for recipe in RECIPES.values()}
    return "; ".join(
        f"{first[family]} to {first[family] + SEEDS[family] - 1} for the {family} recipes"
        for family in _TITLES
        if family in first
    )


def _render(rows: Sequence[Row]) -> str:
    lines = [
        "| recipe | variant | figure | published | ours | | parameters | seconds a run | command |",
        "|---|---|---|---:|---:|---|---:|---:|---|",
    ]
    for row in rows:
        metrics = list(row.recipe.published) or ["accuracy"]
        if HELD_OUT in row.runs[0].metrics.keys() - set(metrics):
            metrics.append(HELD_OUT)
        for metric in metrics:
            published = row.recipe.published.get(metric)
            figures = row.figures(metric)
            show = _show_loss if metric in LOWER_IS_BETTER else _show_share
            command = f"python -m training train {row.recipe.name}" + " --set fast=true" * (row.variant == "fast")
            cells = [
                f"`{row.recipe.name}`",
                row.variant,
                metric.replace("_", " "),
                "-" if published is None else show(published),
                f"{show(statistics.mean(figures))} ({show(min(figures))} to {show(max(figures))}; {len(figures)})",
                "" if published is None else row.verdict(metric),
                f"{row.runs[0].parameters:,}",
                f"{statistics.mean(run.seconds for run in row.runs):.0f}",
                f"`{command}`",
            ]
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


def _show_share(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")


def _show_loss(loss: float) -> str:
    return f"{loss:.4f}"
