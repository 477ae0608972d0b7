from pathlib import Path

import pytest

from tests.training.commands.command import record
from training import recipes
from training.data.labelled.texts import LabelledTexts
from training.recipes.recipe import Recipe
from training.reports.estimates import describe_plan, estimate_seconds
from training.reports.results import Results

RUNS = Path("runs")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Two runs of one recipe, of 100 s and 200 s."""
    found = Results(tmp_path / "results.jsonl")
    for seed, seconds in ((7, 100.0), (8, 200.0)):
        run = record(recipes.find("imdb-500").with_settings([f"seed={seed}"]))
        found.add(run.model_copy(update={"seconds": seconds, "cores": 2}))
    return found


def change(*assignments: str) -> Recipe:
    return recipes.find("imdb-500").with_settings(assignments)


def test_the_time_is_the_mean_of_the_recorded_runs_with_any_seed(results: Results) -> None:
    assert estimate_seconds(change(), results) == (150, 2)
    assert estimate_seconds(change("seed=99"), results) == (150, 2)


def test_of_fewer_epochs_the_time_is_less(results: Results) -> None:
    assert estimate_seconds(change("epochs=2"), results) == (30, 2)  # of 10
    plan = describe_plan(change("epochs=2"), results, RUNS)
    assert plan.startswith("Training imdb-500 takes about 30 s, as recorded on 2 processor cores. ")


@pytest.mark.parametrize("assignments", [["fast=true"], ["units=5"], ["units=5", "epochs=2"]])
def test_of_other_settings_the_time_is_not_known(results: Results, assignments: list[str]) -> None:
    recipe = change(*assignments)
    assert estimate_seconds(recipe, results) is None
    assert describe_plan(recipe, results, RUNS).startswith("No run of imdb-500 with these settings is recorded, so ")


def test_the_time_of_own_texts_depends_on_their_number_and_length(results: Results, texts: LabelledTexts) -> None:
    recipe = recipes.find("reviews")
    many = texts.description.model_copy(update={"mean_characters": 1380.0})
    plan = describe_plan(recipe, results, RUNS, many, has_start=True)
    assert plan.startswith(
        "Training on 64 rows of about 230 words takes at most about 2 min on two processor cores; it s"
    )
    scratch = describe_plan(recipe, results, RUNS, many)  # without the replay of what a first network knew
    assert scratch.startswith("Training on 64 rows of about 230 words takes at most about 47 s on two processor cores")
    short = describe_plan(recipe, results, RUNS, texts.description, has_start=True)
    assert short.startswith("Training on 64 rows of about 5 words takes at most about 54 s on two processor cores")


def test_a_recipe_in_stages_names_them_and_how_to_go_on(results: Results) -> None:
    plan = describe_plan(recipes.find("sentiment-general"), results, RUNS)
    assert plan.startswith("sentiment-general is trained in 3 stages: coded, transformer, network. ")
    assert plan.endswith("saves its result in runs. Ctrl-C stops the training; the same command continues it.")
