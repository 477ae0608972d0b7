import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

from training.recipes import RECIPES
from training.recipes.letters import LetterSettings
from training.recipes.recipe import Recipe
from training.reports import report
from training.reports.figures import Measured
from training.reports.report import Row, write_report
from training.reports.results import Results, Run

CORES = len(os.sched_getaffinity(0))
SETTINGS = LetterSettings(patterns="alphabet", length=2, units=4, batch_size=1, epochs=9)
RECIPE = Recipe(
    name="made-up",
    summary="made up",
    source="nowhere",
    published={"accuracy": 0.8},
    settings=SETTINGS,
    family="alphabet",
    fast={"epochs": 2},
)
LOSS = Recipe("loss-too", "made up", "nowhere", {"accuracy": 0.8, "loss": 0.4}, SETTINGS, family="imdb")
PLAIN = Recipe("plain", "made up", "nowhere", {}, SETTINGS, family="classifier")
OWN = Recipe("own", "made up", "here", {"accuracy": 0.1}, SETTINGS)
MADE_UP = {recipe.name: recipe for recipe in (RECIPE, LOSS, PLAIN, OWN)}


def record(
    recipe: Recipe, accuracies: list[float], keras: str = "3.15.1", epochs: int = 3, **metrics: float
) -> list[Run]:
    """Return runs, each with a seed of its own, that gave these accuracies."""
    return [
        Run.record(
            recipe.with_settings([f"seed={seed}"]),
            {"accuracy": accuracy, "loss": 1.0} | metrics,
            {
                "loss": [1 / (epoch + 1) for epoch in range(epochs)],
                "accuracy": [accuracy * epoch / epochs for epoch in range(epochs)],
            },
            dataset="abc",
            parameters=12_345,
            seconds=10.0 + seed,
            frameworks={"python": "3.11.7", "keras": keras},
        )
        for seed, accuracy in enumerate(accuracies)
    ]


def fast(recipe: Recipe) -> Recipe:
    return recipe.with_settings(["fast=true"])


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """No runs yet, of made-up recipes."""
    monkeypatch.setattr(report, "RECIPES", MADE_UP)
    return Results(tmp_path / "results.jsonl")


def add(results: Results, *runs: list[Run]) -> None:
    for run in (run for several in runs for run in several):
        results.add(run)


def write(results: Results, tmp_path: Path) -> str:
    path = tmp_path / "docs" / "results.md"
    write_report(results, path)
    return path.read_text(encoding="utf-8")


def read_rows(page: str) -> list[list[str]]:
    """Return the cells of all rows, without those that head a table."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} <= {11}
    return [row for row in rows if row[0] != "recipe" and not row[0].startswith("---")]


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([0.9, 0.9], "beaten"),
        ([0.8002], "beaten"),
        ([0.7, 0.92], "reached"),  # 0.81; the noise is 0.3111
        ([0.85, 0.87], "beaten"),  # 0.86; the noise is 0.0283
        ([0.8, 0.8, 0.8], "reached"),
        ([0.80004], "reached"),
        ([0.79996], "reached"),
        ([0.75, 0.85], "reached"),
        ([0.74, 0.84], "reproduced"),  # 0.79; two standard deviations are 0.1414
        ([0.65, 0.75], "reproduced"),  # 0.70
        ([0.60, 0.70], "missed"),  # 0.65, and 0.1414 are no longer enough
        ([0.79, 0.79], "missed"),
        ([0.79], "missed"),  # of one run the noise is not known
    ],
)
def test_the_verdict_is_that_of_the_mean_over_the_seeds(accuracies: list[float], verdict: str) -> None:
    row = Row(recipe=RECIPE, variant="published", runs=record(RECIPE, accuracies))
    assert row.figures("accuracy") == accuracies
    assert row.verdict("accuracy") == verdict


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.3, 0.3], "beaten"),
        ([0.4, 0.4], "reached"),
        ([0.34, 0.44], "reached"),
        ([0.36, 0.46], "reproduced"),
        ([0.5, 0.6], "missed"),
        ([0.41], "missed"),
    ],
)
def test_of_a_loss_less_is_better(losses: list[float], verdict: str) -> None:
    runs = [record(LOSS, [0.5], loss=loss)[0] for loss in losses]
    assert Row(recipe=LOSS, variant="published", runs=runs).verdict("loss") == verdict


def test_a_row_holds_what_was_published_beside_ours(results: Results, tmp_path: Path) -> None:
    add(results, record(RECIPE, [0.91, 0.85, 0.88]))
    assert read_rows(write(results, tmp_path)) == [
        [
            "`made-up`",
            "accuracy",
            "80.00 %",
            "88.00 % (85.00 % to 91.00 %; 3)",
            "beaten",
            "-",
            "",
            "-",
            "0.18",  # minutes: the mean of 10, 11 and 12 seconds
            "-",
            "12,345",
        ]
    ]


def test_a_fast_variant_has_columns_of_its_own(results: Results, tmp_path: Path) -> None:
    add(results, record(fast(RECIPE), [0.5]), record(RECIPE, [0.8, 0.8]))
    ((*_, published, verdict, own, other, bundle, minutes, fewer, _),) = read_rows(write(results, tmp_path))
    assert (published, verdict, minutes) == ("80.00 % (80.00 % to 80.00 %; 2)", "reached", "0.17")
    assert (own, other, fewer) == ("50.00 % (50.00 % to 50.00 %; 1)", "missed", "0.17")
    assert bundle == "-"


def test_a_fast_variant_may_be_recorded_alone(results: Results, tmp_path: Path) -> None:
    add(results, record(fast(RECIPE), [0.5]))
    (row,) = read_rows(write(results, tmp_path))
    assert row[3:7] == ["-", "", "50.00 % (50.00 % to 50.00 %; 1)", "missed"]


def test_the_bundle_has_a_column(results: Results, tmp_path: Path) -> None:
    add(results, record(LOSS, [0.7]))
    (run,) = record(LOSS, [0.9], loss=0.25)
    recipe: dict[str, JsonValue] = {"name": LOSS.name, "settings": run.settings}
    measured = Measured(name="mine", version=3, recipe=recipe, metrics=run.metrics)
    page = tmp_path / "results.md"
    write_report(results, page, [measured])
    assert [row[7] for row in read_rows(page.read_text("utf-8"))] == ["90.00 % (mine/3)", "0.2500 (mine/3)"]


def test_every_published_figure_has_a_row(results: Results, tmp_path: Path) -> None:
    add(results, record(LOSS, [0.7, 0.9], loss=0.38765))
    assert [row[1:5] for row in read_rows(write(results, tmp_path))] == [
        ["accuracy", "80.00 %", "80.00 % (70.00 % to 90.00 %; 2)", "reached"],
        ["loss", "0.4000", "0.3876 (0.3876 to 0.3876; 2)", "beaten"],
    ]


def test_where_nothing_is_published_there_is_no_verdict(results: Results, tmp_path: Path) -> None:
    add(results, record(PLAIN, [0.7]))
    assert [row[1:5] for row in read_rows(write(results, tmp_path))] == [
        ["accuracy", "-", "70.00 % (70.00 % to 70.00 %; 1)", ""]
    ]


def test_the_metric_of_the_held_out_part_has_a_name_of_words(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe("held-out", "made up", "nowhere", {"validation_accuracy": 0.7}, SETTINGS, family="imdb")
    monkeypatch.setattr(report, "RECIPES", {"held-out": recipe})
    add(results, record(recipe, [0.5], validation_accuracy=0.75))
    (row,) = read_rows(write(results, tmp_path))
    assert row[1:5] == ["validation accuracy", "70.00 %", "75.00 % (75.00 % to 75.00 %; 1)", "beaten"]


def test_families_have_parts_where_something_of_them_is_recorded(results: Results, tmp_path: Path) -> None:
    add(results, record(LOSS, [0.7]), record(RECIPE, [0.7]), record(OWN, [0.7]))
    page = write(results, tmp_path)
    assert re.findall("^## (.*)$", page, re.MULTILINE) == ["Next letter of the alphabet", "IMDB review sentiment"]
    assert [row[0] for row in read_rows(page)] == ["`made-up`", "`loss-too`", "`loss-too`"]


def test_runs_with_other_settings_are_left_out(results: Results, tmp_path: Path) -> None:
    add(results, record(RECIPE.with_settings(["units=5"]), [0.9]))
    page = write(results, tmp_path)
    assert read_rows(page) == []
    assert "##" not in page


def check_image(path: Path) -> None:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) > 5000
    assert all(300 < side < 2000 for side in struct.unpack(">II", content[16:24]))


def test_the_page_shows_an_image_of_every_family(results: Results, tmp_path: Path) -> None:
    add(results, record(LOSS, [0.7, 0.8]), record(RECIPE, [0.7]), record(fast(RECIPE), [0.7], epochs=100))
    images = re.findall(r"!\[learning curves\]\((.*?)\)", write(results, tmp_path))
    assert images == ["results/alphabet.png", "results/imdb.png"]
    for image in images:
        check_image(tmp_path / "docs" / image)
    assert sorted(path.name for path in (tmp_path / "docs" / "results").iterdir()) == ["alphabet.png", "imdb.png"]


def plot(runs: list[Run], folder: Path) -> bytes:
    """Return the image of runs of RECIPE."""
    results = Results(folder / "others.jsonl")
    add(results, runs)
    write_report(results, folder / "page.md")
    results.path.unlink()
    return (folder / "page" / "alphabet.png").read_bytes()


@pytest.mark.usefixtures("results")  # for its recipes
def test_the_image_shows_all_runs_and_the_held_out_part(tmp_path: Path) -> None:
    def hold_out(training: list[float], held_out: list[float]) -> list[Run]:
        return [run.model_copy(update={"curve": {"accuracy": training, "val_accuracy": held_out}}) for run in one]

    one, more = record(RECIPE, [0.7]), record(RECIPE, [0.7, 0.9])
    low, high = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    shown = [one, more, one + record(fast(RECIPE), [0.7]), hold_out(low, high), hold_out(high, low)]
    assert len({plot(runs, tmp_path) for runs in shown}) == 5
    assert plot(one, tmp_path) == plot(one, tmp_path)


@pytest.mark.usefixtures("results")
def test_a_line_ends_where_the_first_run_was_stopped(tmp_path: Path) -> None:
    def keep(run: Run, *indices: int) -> Run:
        curve = np.linspace(0.1, 0.7, 10)[list(indices)].tolist()
        return run.model_copy(update={"epochs": [index + 1 for index in indices], "curve": {"accuracy": curve}})

    first, second = record(RECIPE, [0.7, 0.7])
    short, often, rare = keep(first, 0, 1, 2, 3), keep(second, *range(10)), keep(second, 0, 3, 6, 9)
    # The same line, whatever is kept of the longer run.
    assert plot([short, rare], tmp_path) == plot([short, often], tmp_path) == plot([short], tmp_path)
    assert plot([often], tmp_path) != plot([short], tmp_path)


def test_the_image_has_a_panel_for_every_recipe(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {f"recipe-{number}": Recipe(f"recipe-{number}", "", "", {}, SETTINGS, "classifier") for number in range(7)}
    monkeypatch.setattr(report, "RECIPES", more)
    heights = []
    for recipe in more.values():
        add(results, record(recipe, [0.7]))
        write_report(results, tmp_path / "page.md")
        width, height = struct.unpack(">II", (tmp_path / "page" / "classifier.png").read_bytes()[16:24])
        heights.append(height / 320)
        assert width == 420 * min(3, len(heights))
    assert heights == [1, 1, 1, 2, 2, 2, 3]


def test_the_page_ends_with_the_versions_of_all_that_made_it(results: Results, tmp_path: Path) -> None:
    add(results, record(RECIPE, [0.7, 0.8]))
    assert write(results, tmp_path).splitlines()[-1] == f"Made on {CORES} cores with python 3.11.7, keras 3.15.1."
    add(results, record(PLAIN, [0.7], keras="3.14.0"))
    last = f"Made on {CORES} cores with python 3.11.7, keras 3.14.0; or python 3.11.7, keras 3.15.1."
    assert write(results, tmp_path).splitlines()[-1] == last


def test_without_runs_the_page_says_so(tmp_path: Path) -> None:
    page = write(Results(tmp_path / "none.jsonl"), tmp_path)
    assert page.startswith("# Results\n")
    assert page.splitlines()[-1] == "No run is recorded."
    assert read_rows(page) == []


def test_the_report_of_all_recipes_has_a_row_for_every_figure(tmp_path: Path) -> None:
    found = Results(tmp_path / "results.jsonl")
    families = [recipe for recipe in RECIPES.values() if recipe.family]
    for recipe in families:
        add(found, record(recipe, [0.5, 0.6], validation_accuracy=0.7))
    rows = read_rows(write(found, tmp_path))
    assert [(row[0], row[1]) for row in rows] == [
        (f"`{recipe.name}`", metric.replace("_", " "))
        for recipe in families
        for metric in dict.fromkeys([*(recipe.published or ["accuracy"]), "validation_accuracy"])
    ]
