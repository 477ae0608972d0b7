"""`python -m training list`."""

from pathlib import Path

from bundle.store import Store
from training import recipes
from training.commands.options import ModelsOption, ResultsOption
from training.commands.terminal import clear_errors, say
from training.errors import ResultsError
from training.reports.figures import COLUMNS, Figures, find_figures, list_measured, show_minutes
from training.reports.results import RESULTS, Results

_FIGURES = "{:<25} {:<23}  {:<33}  {:<33}  {}"  # a line of `list`


def list_recipes(models: ModelsOption = Path("models"), recorded: ResultsOption = RESULTS) -> None:
    """List the recipes with their figures, a column each, and the measured minutes.

    The columns: the figure that the source published; the mean of the recorded runs with the published settings, with
    the lowest and the highest figure and the number of runs; the same of the fast variant; and the latest bundle's.
    """
    with clear_errors():
        results = Results(recorded)
        measured, problems = list_measured(Store(models))
        say(_FIGURES.format("recipe", *COLUMNS))
        for recipe in recipes.RECIPES.values():
            figures = find_figures(results, measured, recipe)
            say(_FIGURES.format(recipe.name, *figures.cells))
            say(f"    {recipe.task}, {figures.metric.replace('_', ' ')}: {recipe.summary}")
            if minutes := _describe_minutes(figures):
                say(f"    minutes: {minutes}")
            say(f"    source: {recipe.source}")
        if problems:
            raise ResultsError("; ".join(problems))


def _describe_minutes(figures: Figures) -> str:
    """Return the mean minutes of the recorded runs by variant; "" if there are none."""
    _, published, fast, _ = COLUMNS
    found = {published: figures.published, fast: figures.fast}
    return ", ".join(f"{show_minutes(runs.seconds)} {name}" for name, runs in found.items() if runs)
