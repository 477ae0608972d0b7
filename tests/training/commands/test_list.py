import re
from pathlib import Path

from bundle.store import Store
from tests.conftest import SMALL_RECIPES
from tests.training.commands.command import check_error, copy, record, reseal, run
from training import recipes
from training.recipes import RECIPES
from training.reports.figures import COLUMNS, show
from training.reports.results import Results


def list_recipes(*options: object) -> dict[str, str]:
    """Return the line of figures of every recipe, as `list` prints it."""
    listed = run("list", *map(str, options)).stdout.splitlines()
    assert re.split("  +", listed[0]) == ["recipe", *COLUMNS]
    return {line.split()[0]: line for line in listed[1:] if line.split()[:1][0] in RECIPES}


def test_list_shows_every_recipe_with_the_published_figure_and_that_of_its_bundle(small_store: Store) -> None:
    lines = list_recipes("--models", small_store.root, "--results", small_store.root / "none.jsonl")
    assert list(lines) == list(RECIPES)
    for name, recipe in RECIPES.items():
        metric = next(iter(recipe.published), "accuracy")
        assert show(metric, recipe.published[metric]) in lines[name] if recipe.published else True
        if name in SMALL_RECIPES:
            figure = show(metric, small_store.open(name).manifest.metrics[metric])
            assert lines[name].endswith(f"{figure} ({name}/1, other settings)")


def test_list_works_without_any_bundle(tmp_path: Path) -> None:
    result = run("list", "--models", tmp_path / "none")
    assert result.exit_code == 0
    assert "98.90 %" in result.stdout
    assert "86.74 %" in result.stdout
    assert not (tmp_path / "none").exists()


def test_list_shows_the_recorded_figures_beside_those_of_a_bundle(small_store: Store, tmp_path: Path) -> None:
    recorded = Results(tmp_path / "results.jsonl")
    for seed, accuracy in ((7, 0.25), (8, 0.2512)):
        recorded.add(record(recipes.find("alphabet-window").with_settings([f"seed={seed}"]), accuracy=accuracy))
    recorded.add(record(recipes.find("imdb-20").with_settings(["fast=true"]), validation_accuracy=0.7654))
    recorded.add(record(recipes.find("torch").with_settings(["units=3"]), accuracy=0.8765))
    lines = list_recipes("--models", small_store.root, "--results", recorded.path)
    of_bundle = show("accuracy", small_store.open("alphabet-window").manifest.metrics["accuracy"])
    assert re.split("  +", lines["alphabet-window"]) == [
        "alphabet-window",
        "86.96 %",
        "25.06 % (25.00 % to 25.12 %; 2)",
        "-",
        f"{of_bundle} (alphabet-window/1, other settings)",
    ]
    assert re.split("  +", lines["imdb-20"])[2:] == ["-", "76.54 % (76.54 % to 76.54 %; 1)", "-"]
    assert "87.65" not in lines["torch"]  # of other settings
    listed = run("list", "--models", small_store.root, "--results", recorded.path).stdout
    assert listed.count("    minutes: 0.02 published settings\n") == 1
    assert listed.count("    minutes: 0.02 fast variant\n") == 1


def test_list_shows_the_figures_of_a_bundle_that_has_another_name(small_store: Store, tmp_path: Path) -> None:
    manifest = small_store.open("stacked").manifest
    folder = copy(small_store.open("stacked"), tmp_path / "letters" / "1")
    reseal(folder, name="letters")
    lines = list_recipes("--models", tmp_path, "--results", tmp_path / "none.jsonl")
    assert f"{show('accuracy', manifest.metrics['accuracy'])} (letters/1, other settings)" in lines["stacked"]


def test_list_refuses_a_results_file_that_is_broken(small_store: Store, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    result = run("list", "--models", small_store.root, "--results", tmp_path / "results.jsonl")
    check_error(result, "line 1 of .*results.jsonl is not a run .*; remove it")


def test_list_goes_on_after_a_manifest_that_cannot_be_read(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "next-letter" / "1")
    copy(small_store.open("stacked"), tmp_path / "stacked" / "1")
    (folder / "manifest.json").write_text("{")
    result = run("list", "--models", tmp_path)
    check_error(result, "next-letter/1/manifest.json has no figures .it is not JSON at line 1, column 2.; restore it")
    assert "(stacked/1, other settings)" in result.stdout


def test_without_a_command_the_commands_are_shown() -> None:
    output = run().output
    assert all(command in output for command in ("list", "train", "evaluate", "convert", "report"))
    output = run("convert").output
    assert all(command in output for command in ("from-torch", "to-torch"))
