"""What a training will take, for whoever starts it: stages, time, and how to stop it.

It imports neither Keras nor TensorFlow, because it is said before they are loaded.
"""

import statistics
from pathlib import Path

from training.data.labelled.description import DataDescription
from training.quantities import count, describe_time
from training.recipes.labelled import LabelledSettings
from training.recipes.recipe import Recipe
from training.recipes.staged import StagesSettings
from training.reports.results import Results

# Measured on two cores, with the settings of the recipe reviews: an epoch of 22,500 film reviews of about 230 words
# takes 75 to 120 s from random weights, and n-grams label them in 75 s; an epoch of 5,400 texts of about 11 words that
# begins with `sentiment` takes 5 s. Before them are the reading, the baseline and the compilation of steps.
_SECONDS_BEFORE = 45
_SECONDS_A_ROW = 6e-4
_SECONDS_A_WORD = 2e-5
_SECONDS_A_TAUGHT_WORD = 1.5e-5
_CHARACTERS_A_WORD = 6


def describe_plan(
    recipe: Recipe, results: Results, runs: Path, data: DataDescription | None = None, has_start: bool = False
) -> str:
    """Return the stages or the time of a training, and how to stop it and go on.

    Args:
        recipe: the recipe.
        results: the recorded runs.
        runs: the folder where stages save their results.
        data: the user's own texts, for the recipe reviews.
        has_start: whether the training begins with a bundle.
    """
    if isinstance(stages := recipe.settings, StagesSettings):
        names = ", ".join(stages.stages)
        return (
            f"{recipe.name} is trained in {len(stages.stages)} stages: {names}. Each stage says how long it takes once "
            f"it begins, and saves its result in {runs}. Ctrl-C stops the training; the same command continues it."
        )
    if data and isinstance(recipe.settings, LabelledSettings):
        time = _describe_time_of(recipe.settings, data, has_start)
    else:
        time = _describe_time(recipe, results)
    return f"{time} Ctrl-C stops the training, and nothing is published then."


def _describe_time_of(settings: LabelledSettings, data: DataDescription, has_start: bool) -> str:
    words = min(round(data.mean_characters / _CHARACTERS_A_WORD), settings.length)
    a_row = _SECONDS_A_ROW + words * _SECONDS_A_WORD
    if has_start:
        seconds = settings.transfer.epochs * (data.train_rows + settings.replay) * a_row
    else:
        seconds = data.train_rows * (settings.scratch.epochs * a_row + words * _SECONDS_A_TAUGHT_WORD)
    time = describe_time(_SECONDS_BEFORE + seconds)
    return (
        f"Training on {count(data.train_rows, 'row')} of about {count(words, 'word')} takes at most about {time} on "
        "two processor cores; it stops earlier when it no longer gets better."
    )


def _describe_time(recipe: Recipe, results: Results) -> str:
    found = estimate_seconds(recipe, results)
    if found is None:
        return (
            f"No run of {recipe.name} with these settings is recorded, so the time left is shown once some steps have "
            "run."
        )
    seconds, cores = found
    return (
        f"Training {recipe.name} takes about {describe_time(seconds)}, as recorded on {count(cores, 'processor core')}."
    )


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
