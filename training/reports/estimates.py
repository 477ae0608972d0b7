"""What a training will take, for whoever starts it: stages, time, and how to stop it.

It imports neither Keras nor TensorFlow, because it is said before they are loaded.
"""

import statistics
from pathlib import Path

from training.recipes.recipe import Recipe
from training.recipes.staged import StagesSettings
from training.reports.results import Results


def describe_plan(recipe: Recipe, results: Results, runs: Path) -> str:
    """Return the stages or the time of a training, and how to stop it and go on.

    `runs` is the folder where stages save their results.
    """
    if isinstance(stages := recipe.settings, StagesSettings):
        names = ", ".join(stages.stages)
        return (
            f"{recipe.name} is trained in {len(stages.stages)} stages: {names}. Each stage says how long it takes once "
            f"it begins, and saves its result in {runs}. Ctrl-C stops the training; the same command continues it."
        )
    return f"{_describe_time(recipe, results)} Ctrl-C stops the training, and nothing is published then."


def _describe_time(recipe: Recipe, results: Results) -> str:
    found = estimate_seconds(recipe, results)
    if found is None:
        return (
            f"No run of {recipe.name} with these settings is recorded, so the time left is shown once some steps have "
            "run."
        )
    seconds, cores = found
    shown = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"Training {recipe.name} takes about {shown}, as recorded on {cores} processor cores."


def estimate_seconds(recipe: Recipe, results: Results) -> tuple[float, int] | None:
    """Return the mean seconds of the recorded runs of a recipe, and their cores; None if there are none.

    Runs that differ only in the number of epochs count too, in proportion.
    """
    found = results.of(recipe)
    if found:
        return statistics.mean(run.seconds for run in found), found[0].cores
    epochs = int(recipe.settings.model_dump().get("epochs", 0))
    for run in results.runs:
        recorded = run.settings.get("epochs")
        if run.recipe == recipe.name and isinstance(recorded, int) and epochs:
            same = results.of(recipe.with_settings([f"epochs={recorded}"]))
            if same:
                return statistics.mean(each.seconds for each in same) * epochs / recorded, run.cores
    return None
