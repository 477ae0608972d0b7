from pathlib import Path

import pytest
from pydantic import JsonValue

from bundle.store import Store
from tests.bundle.samples import LETTERS, REVIEWS, publish
from tests.rights import modes_hold
from tests.training.commands.command import record
from training import recipes
from training.errors import ResultsError
from training.recipes.recipe import Recipe
from training.reports.figures import (
    COLUMNS,
    Measured,
    find_figures,
    list_measured,
    read_measured,
    renew_table,
    show,
    show_minutes,
)
from training.reports.results import Results

RECIPE = recipes.find("imdb-500")


def measure(name: str, version: int, accuracy: float, recipe: Recipe = RECIPE) -> Measured:
    settings: dict[str, JsonValue] = recipe.settings.model_dump(mode="json")
    return Measured(
        name=name, version=version, recipe={"name": recipe.name, "settings": settings}, metrics={"accuracy": accuracy}
    )


@pytest.fixture
def results(tmp_path: Path) -> Results:
    found = Results(tmp_path / "results.jsonl")
    for seed, accuracy in ((7, 0.8), (8, 0.9)):
        found.add(record(RECIPE.with_settings([f"seed={seed}"]), accuracy=accuracy))
    found.add(record(RECIPE.with_settings(["fast=true"]), accuracy=0.95))
    return found


def test_a_figure_of_a_recipe_has_four_columns(results: Results) -> None:
    figures = find_figures(results, [measure("imdb-500", 2, 0.87)], RECIPE)
    assert dict(zip(COLUMNS, figures.cells, strict=True)) == {
        "published by the source": "86.74 %",
        "published settings": "85.00 % (80.00 % to 90.00 %; 2)",
        "fast variant": "95.00 % (95.00 % to 95.00 %; 1)",
        "bundle (one run)": "87.00 % (imdb-500/2)",
    }


def test_where_there_is_no_figure_there_is_a_dash(results: Results) -> None:
    assert find_figures(results, [], recipes.find("next-letter")).cells == ("-", "-", "-", "-")
    assert find_figures(results, [measure("imdb-500", 2, 0.87)], RECIPE, "loss").cells[-1] == "-"


@pytest.mark.parametrize(
    ("measured", "cell"),
    [
        ([measure("imdb-500", 1, 0.5), measure("imdb-500", 10, 0.6)], "60.00 % (imdb-500/10)"),
        ([measure("imdb-500", 1, 0.5), measure("other", 2, 0.6)], "50.00 % (imdb-500/1)"),
        ([measure("other", 2, 0.6), measure("torch", 1, 0.5, recipes.find("torch"))], "60.00 % (other/2)"),
        ([measure("a", 1, 0.5, RECIPE.with_settings(["fast=true"]))], "50.00 % (a/1, fast variant)"),
        ([measure("a", 1, 0.5, RECIPE.with_settings(["units=5"]))], "50.00 % (a/1, other settings)"),
    ],
)
def test_the_bundle_is_the_latest_of_the_recipe_and_rather_of_its_name(
    results: Results, measured: list[Measured], cell: str
) -> None:
    assert find_figures(results, measured, RECIPE).cells[-1] == cell


def test_figures_are_shown_in_one_way() -> None:
    assert [show("accuracy", 0.86744), show("loss", 0.39754), show("accuracy", 1.0)] == [
        "86.74 %",
        "0.3975",
        "100.00 %",
    ]
    assert [show_minutes(seconds) for seconds in (2, 58, 195, 601)] == ["0.03", "0.97", "3.2", "10.0"]


def test_figures_are_read_from_all_manifests_and_faults_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, LETTERS)
    publish(store, REVIEWS)
    broken = publish(store, REVIEWS.model_copy(update={"name": "broken"})).folder / "manifest.json"
    broken.write_text("[]")
    hidden = publish(store, REVIEWS.model_copy(update={"name": "hidden"})).folder.parent
    hidden.chmod(0)
    with modes_hold():
        measured, problems = list_measured(store)
    hidden.chmod(0o755)
    assert [(each.name, each.version, each.recipe_name) for each in measured] == [
        ("letters", 1, "letters"),
        ("reviews", 1, "reviews"),
    ]
    assert problems == [
        f"{broken} has no figures (Input should be an object); restore it, or move its bundle away",
        f"{hidden} cannot be read (Permission denied); make it readable",
    ]


def test_a_manifest_that_is_too_large_has_no_figures(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(ResultsError, match="has no figures .*has more than 1,048,576 bytes"):
        read_measured(tmp_path)


def test_a_table_of_models_is_renewed_and_the_rest_stays(results: Results) -> None:
    head = f"Text | a |\n\n| model | on | {' | '.join(COLUMNS)} |\n|---|---|---:|---:|---:|---:|\n"
    text = f"{head}| `films` | reviews | 1 | 2 | 3 | 4 |\n\nMore | `films` |\n"
    renewed = renew_table(text, results, [measure("films", 1, 0.1), measure("films", 2, 0.5)])
    row = "86.74 % | 85.00 % (80.00 % to 90.00 %; 2) | 95.00 % (95.00 % to 95.00 %; 1) | 50.00 % (films/2)"
    assert renewed == f"{head}| `films` | reviews | {row} |\n\nMore | `films` |\n"
    assert renew_table(renewed, results, [measure("films", 2, 0.5)]) == renewed
