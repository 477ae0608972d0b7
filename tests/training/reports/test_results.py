import json
import math
import os
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import JsonValue

from training import recipes
from training.errors import ResultsError
from training.recipes import RECIPES
from training.recipes.letters import LetterSettings
from training.recipes.recipe import Recipe
from training.recipes.stack import TrainingSettings
from training.reports import results
from training.reports.results import SEEDS, Results, Run, find_kind, find_missing, variants

RECIPE = recipes.find("alphabet-window")
WITH_FAST = Recipe(
    name="with-fast",
    summary="made up",
    source="nowhere",
    published={"accuracy": 0.8},
    settings=LetterSettings(patterns="alphabet", length=2, units=4, batch_size=1, epochs=9, seed=3),
    family="alphabet",
    fast={"epochs": 2},
)
FAMILIES = {name: recipe for name, recipe in RECIPES.items() if recipe.family}


def record(recipe: Recipe, seed: int, **metrics: float) -> Run:
    """Return the record of a run that gave these figures."""
    return Run.record(
        recipe.with_settings([f"seed={seed}"]),
        {"accuracy": 0.5, "loss": 1.0} | metrics,
        {"loss": [2.0, 1.0], "accuracy": [0.1, 0.5]},
        dataset="abc",
        parameters=100,
        seconds=1.26,
        frameworks={"keras": "3.15.1"},
    )


def record_history(**history: list[float]) -> Run:
    return Run.record(RECIPE, {"accuracy": 0.5, "loss": 1.0}, history, "abc", 100, 1.0, {})


def without_seed(recipe: Recipe) -> dict[str, object]:
    return recipe.settings.model_dump(exclude={"seed"})


def test_a_run_is_what_was_trained_and_what_it_gave() -> None:
    run = record(recipes.find("stacked"), seed=8, accuracy=1 / 3)
    assert (run.recipe, run.seed, run.parameters, run.seconds) == ("stacked", 8, 100, 1.3)
    settings = recipes.find("stacked").with_settings(["seed=8"]).settings
    assert run.settings == settings.model_dump(mode="json")
    assert run.metrics == {"accuracy": 0.333333, "loss": 1.0}
    assert (run.dataset, run.cores) == ("abc", len(os.sched_getaffinity(0)))
    assert (run.epochs, run.curve) == ([1, 2], {"loss": [2.0, 1.0], "accuracy": [0.1, 0.5]})
    assert run.frameworks == {"keras": "3.15.1"}


@pytest.mark.parametrize(("epochs", "kept"), [(1, 1), (2, 2), (199, 199), (200, 200), (201, 200), (5000, 200)])
def test_of_a_long_history_200_epochs_are_kept_with_the_first_and_the_last(epochs: int, kept: int) -> None:
    losses = [1 / epoch for epoch in range(1, epochs + 1)]
    run = record_history(loss=losses, accuracy=[1 - loss for loss in losses])
    assert len(run.epochs) == len(set(run.epochs)) == kept
    assert run.epochs == sorted(run.epochs)
    assert (run.epochs[0], run.epochs[-1]) == (1, epochs)
    assert run.curve["loss"] == [round(losses[epoch - 1], 5) for epoch in run.epochs]
    assert run.curve["accuracy"] == [round(1 - losses[epoch - 1], 5) for epoch in run.epochs]


def test_the_kept_epochs_are_spread_evenly() -> None:
    epochs = record_history(loss=[1.0] * 5000).epochs
    assert {later - earlier for earlier, later in zip(epochs, epochs[1:], strict=False)} == {25, 26}


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.jsonl"
    first, second = record(recipes.find("stacked"), seed=8), record(RECIPE, seed=9, accuracy=0.25)
    written = Results(path)
    assert written.runs == []
    written.add(first)
    written.add(second)
    assert written.runs == [first, second]
    assert Results(path).runs == [first, second]
    assert [json.loads(line)["recipe"] for line in path.read_text().splitlines()] == ["stacked", "alphabet-window"]
    assert [entry.name for entry in path.parent.iterdir()] == ["results.jsonl"]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_in_one_epoch_is_read_again(tmp_path: Path, loss: float) -> None:
    path = tmp_path / "results.jsonl"
    Results(path).add(record_history(loss=[loss, 1.0]))
    assert Results(path).runs[0].epochs == [1, 2]


def test_an_empty_file_has_no_runs(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").touch()
    assert Results(tmp_path / "results.jsonl").runs == []


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "no JSON",
        "",
        record(RECIPE, 7).model_dump_json()[:-10],
        record(RECIPE, 7).model_dump_json().replace('"seconds"', '"hours"'),
        record(RECIPE, 7).model_dump_json().replace('"accuracy":0.5', '"accuracy":null', 1),
    ],
    ids=["nothing", "text", "empty", "half", "another field", "no number"],
)
def test_a_broken_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    good = record(RECIPE, 7).model_dump_json()
    path.write_text(f"{good}\n{good}\n{line}\n{good}\n")
    message = (
        r"^line 3 of .*results.jsonl is not a run \(\d+ fields do not fit\); remove it, and `report` runs it again$"
    )
    with pytest.raises(ResultsError, match=message):
        Results(path)


def test_a_run_that_cannot_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    Results(path).add(record(RECIPE, 7))
    before, results = path.read_bytes(), Results(path)

    def fail(descriptor: int) -> NoReturn:
        raise OSError(f"{descriptor}: no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        results.add(record(RECIPE, 8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    results.add(record(RECIPE, 9))
    assert [run.seed for run in Results(path).runs] == [7, 9]


def test_the_runs_of_a_recipe_are_those_with_its_settings_by_seed(tmp_path: Path) -> None:
    found = Results(tmp_path / "results.jsonl")
    other = recipes.find("alphabet-window").with_settings(["units=31"])
    for run in (record(RECIPE, 9), record(RECIPE, 7), record(other, 7), record(recipes.find("stacked"), 8)):
        found.add(run)
    assert [run.seed for run in found.of(RECIPE)] == [7, 9]
    assert [run.seed for run in found.of(RECIPE.with_settings(["seed=100"]))] == [7, 9]
    assert [run.seed for run in found.of(other)] == [7]
    assert found.of(RECIPE.with_settings(["epochs=3"])) == []


def test_a_run_from_before_a_setting_came_had_its_default(tmp_path: Path) -> None:
    found = Results(tmp_path / "results.jsonl")
    run = record(RECIPE, 7)
    found.add(run.model_copy(update={"settings": {key: run.settings[key] for key in run.settings if key != "loss"}}))
    assert [run.seed for run in found.of(RECIPE)] == [7]
    assert found.of(RECIPE.with_settings(["loss=squared-error"])) == []


def test_a_run_with_settings_that_are_no_longer_known_counts_for_nothing(tmp_path: Path) -> None:
    found = Results(tmp_path / "results.jsonl")
    run = record(RECIPE, 7)
    found.add(run.model_copy(update={"settings": run.settings | {"peepholes": True}}))
    assert found.of(RECIPE) == []


def test_of_two_runs_with_one_seed_the_later_counts(tmp_path: Path) -> None:
    found = Results(tmp_path / "results.jsonl")
    found.add(record(RECIPE, 7, accuracy=0.1))
    found.add(record(RECIPE, 7, accuracy=0.2))
    assert [run.metrics["accuracy"] for run in found.of(RECIPE)] == [0.2]


def test_the_runs_of_every_recipe_are_found_after_they_were_written(tmp_path: Path) -> None:
    written = Results(tmp_path / "results.jsonl")
    for recipe in RECIPES.values():
        written.add(record(recipe, seed=1))
    read = Results(tmp_path / "results.jsonl")
    assert all([run.seed for run in read.of(recipe)] == [1] for recipe in RECIPES.values())


def test_a_recipe_has_its_fast_variant_where_it_has_one() -> None:
    fast = WITH_FAST.with_settings(["epochs=2"])
    assert list(variants(WITH_FAST, fast_only=False)) == [("published", WITH_FAST), ("fast", fast)]
    assert list(variants(WITH_FAST, fast_only=True)) == [("fast", fast)]
    without = recipes.find("next-letter")
    assert not without.fast
    for fast_only in (False, True):
        assert list(variants(without, fast_only)) == [("published", without)]


@pytest.mark.parametrize("fast_only", [False, True])
def test_where_nothing_is_recorded_every_seed_of_every_family_is_missing(tmp_path: Path, fast_only: bool) -> None:
    missing = list(find_missing(Results(tmp_path / "none.jsonl"), fast_only))
    assert {recipe.name for recipe in missing} == set(FAMILIES)
    for name, recipe in FAMILIES.items():
        assert recipe.family
        of_name = [one for one in missing if one.name == name]
        for _, variant in variants(recipe, fast_only):
            seeds = [one.settings.seed for one in of_name if without_seed(one) == without_seed(variant)]
            assert seeds == list(range(recipe.settings.seed, recipe.settings.seed + SEEDS[recipe.family]))
        assert len(of_name) == SEEDS[recipe.family] * (1 if fast_only or not recipe.fast else 2)


@pytest.mark.parametrize("fast_only", [False, True])
def test_what_is_recorded_is_not_missing(tmp_path: Path, fast_only: bool) -> None:
    found = Results(tmp_path / "results.jsonl")
    all_missing = list(find_missing(found, fast_only))
    for recipe in all_missing[::2]:
        found.add(record(recipe, recipe.settings.seed))
    assert list(find_missing(found, fast_only)) == all_missing[1::2]
    for recipe in all_missing[1::2]:
        found.add(record(recipe, recipe.settings.seed))
    assert list(find_missing(found, fast_only)) == []


def find_epochs_and_seeds(found: Results, fast_only: bool) -> list[tuple[int, int]]:
    return [
        (recipe.settings.epochs, recipe.settings.seed)
        for recipe in find_missing(found, fast_only)
        if isinstance(recipe.settings, TrainingSettings)
    ]


def test_a_fast_variant_is_missing_beside_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RECIPES", {"with-fast": WITH_FAST, "next-letter": recipes.find("next-letter")})
    monkeypatch.setitem(SEEDS, "alphabet", 2)
    found = Results(tmp_path / "results.jsonl")
    assert find_epochs_and_seeds(found, fast_only=False) == [(9, 3), (9, 4), (2, 3), (2, 4)]
    assert find_epochs_and_seeds(found, fast_only=True) == [(2, 3), (2, 4)]
    found.add(record(WITH_FAST.with_settings(["fast=true"]), seed=3))
    found.add(record(WITH_FAST, seed=4))
    assert find_epochs_and_seeds(found, fast_only=False) == [(9, 3), (2, 4)]
    assert find_epochs_and_seeds(found, fast_only=True) == [(2, 4)]


@pytest.mark.parametrize(
    ("assignments", "kind"),
    [([], "published"), (["seed=9"], "published"), (["fast=true", "seed=9"], "fast"), (["units=5"], "other")],
)
def test_recorded_settings_are_those_of_a_variant_or_others(assignments: list[str], kind: str) -> None:
    settings = WITH_FAST.with_settings(assignments).settings.model_dump(mode="json")
    assert find_kind(WITH_FAST, settings) == kind


@pytest.mark.parametrize("settings", [None, [], {"of": "another release"}])
def test_settings_that_do_not_fit_are_others(settings: JsonValue) -> None:
    assert find_kind(WITH_FAST, settings) == "other"
