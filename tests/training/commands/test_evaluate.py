import re
import shutil
from pathlib import Path

import pytest

from bundle.manifest import Manifest
from bundle.store import Store, open_bundle
from tests.conftest import SMALL_RECIPES, write_reviews
from tests.training.commands.command import check_error, copy, one_line, reseal, run
from training.reports.results import HELD_OUT


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_evaluate_finds_the_figures_of_the_manifest(small_store: Store, reviews: Path, name: str) -> None:
    bundle = small_store.open(name)
    result = run("evaluate", bundle.folder, "--data", reviews)
    assert result.exit_code == 0
    assert f"{bundle.manifest.dataset.test_examples:,} examples" in result.stdout
    assert bool(re.search(r"positive +. +\d+ +. [\d.]+", result.stdout)) == (bundle.manifest.task == "sentiment")
    for metric, value in bundle.manifest.metrics.items():
        assert bool(re.search(rf"{metric} +. {value:.4f} +. {value:.4f}", result.stdout)) == (metric != HELD_OUT)
    assert "The figures are those of the manifest." in one_line(result.stdout)


def test_evaluate_fails_where_the_manifest_says_other_figures(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics=metrics | {"accuracy": metrics["accuracy"] + 0.01})
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert result.stderr == "The figures differ from the manifest, although the data are the same.\n"
    assert "The figures are those" not in one_line(result.stdout)


def test_evaluate_fails_where_the_manifest_has_a_figure_that_is_not_measured(
    small_store: Store, tmp_path: Path
) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    reseal(folder, metrics=Manifest.read(folder).metrics | {"f1": 0.5})
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert "The figures differ from the manifest" in result.stderr


def test_evaluate_takes_a_manifest_of_a_time_when_less_was_measured(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    reseal(folder, metrics={"loss": Manifest.read(folder).metrics["loss"]})
    result = run("evaluate", folder)
    assert result.exit_code == 0
    assert re.search(r"accuracy +. [0-9.]+ +. - ", result.stdout)


def test_evaluate_takes_figures_that_agree_in_four_digits(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics=metrics | {"loss": float(f"{metrics['loss']:.4f}")})
    result = run("evaluate", folder)
    assert result.exit_code == 0
    assert "The figures are those of the manifest." in one_line(result.stdout)


def test_evaluate_says_so_where_the_data_are_others(small_store: Store, tmp_path: Path) -> None:
    data = write_reviews(tmp_path / "data", per_label=3)
    result = run("evaluate", small_store.open("sentiment").folder, "--data", data)
    assert result.exit_code == 0
    assert "6 examples" in result.stdout
    assert "These are not the data of the manifest" in one_line(result.stdout)
    assert "The figures are those" not in one_line(result.stdout)


def test_evaluate_changes_nothing(small_store: Store, tmp_path: Path, reviews: Path) -> None:
    folder = copy(small_store.open("sentiment"), tmp_path / "copy")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run("evaluate", folder, "--data", reviews).exit_code == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_evaluate_refuses_a_folder_without_a_bundle(tmp_path: Path) -> None:
    check_error(run("evaluate", tmp_path), "holds no bundle, as it has no manifest.json; name the folder of one")


def test_evaluate_refuses_an_edited_manifest(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "copy")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"accuracy": 0', '"accuracy": 1'))
    check_error(run("evaluate", folder), "was edited")


def test_evaluate_says_nothing_of_publication_where_a_file_cannot_be_read(
    small_store: Store, tmp_path: Path, reviews: Path
) -> None:
    data = Path(shutil.copytree(reviews, tmp_path / "data"))
    (data / "test" / "pos" / "999_9.txt").mkdir()
    result = run("evaluate", small_store.open("sentiment").folder, "--data", data)
    check_error(result, "Is a directory: .*999_9.txt'")
    assert "published" not in result.stderr


def test_evaluate_refuses_missing_data(small_store: Store, tmp_path: Path) -> None:
    result = run("evaluate", small_store.open("sentiment").folder, "--data", tmp_path / "none")
    check_error(result, "there is no .*none; --data takes")


@pytest.mark.parametrize("recipe", [{}, {"settings": {"nodes": 3}}, {"settings": None}])
def test_evaluate_refuses_a_recipe_that_this_release_does_not_know(
    small_store: Store, tmp_path: Path, recipe: dict[str, object]
) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "copy")
    reseal(folder, recipe=recipe)
    assert open_bundle(folder)
    check_error(run("evaluate", folder), "copy has a recipe of another release .*release that trained it")
