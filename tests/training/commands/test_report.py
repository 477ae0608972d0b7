import re
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.training.commands.command import check_error, record, run
from training import pipeline, recipes
from training.recipes.recipe import Recipe
from training.reports import results
from training.reports.results import Results

TINY = ["units=2", "epochs=2", "length=2", "batch_size=25", "steps_per_call=1"]


@pytest.fixture
def tiny_recipes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recipe]:
    """Two recipes that take seconds, the second with a fast variant, in the place of all; two seeds of each."""
    tiny = {name: recipes.find(name).with_settings(TINY) for name in ("alphabet-time-steps", "alphabet-window")}
    chosen: dict[str, Recipe] = {
        "alphabet-time-steps": replace(tiny["alphabet-time-steps"], fast={}),
        "alphabet-window": replace(tiny["alphabet-window"], fast={"epochs": 1}),
        "next-letter": recipes.find("next-letter"),  # the project's own
    }
    monkeypatch.setattr("training.reports.results.RECIPES", chosen)
    monkeypatch.setattr("training.reports.report.RECIPES", chosen)
    monkeypatch.setitem(results.SEEDS, "alphabet", 2)
    return chosen


def test_report_trains_what_is_missing_and_writes_the_page(
    tiny_recipes: dict[str, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, page = tmp_path / "results.jsonl", tmp_path / "docs.md"
    options = ["--results", str(recorded), "--out", str(page), "--models", str(tmp_path / "models")]
    first = run("report", "--fast", *options)
    assert first.exit_code == 0
    assert re.findall(r"^(\d of \d: .*)$", first.stdout, re.MULTILINE) == [
        "1 of 4: alphabet-time-steps, seed 7",
        "2 of 4: alphabet-time-steps, seed 8",
        "3 of 4: alphabet-window, seed 7",
        "4 of 4: alphabet-window, seed 8",
    ]
    runs = Results(recorded).runs
    assert [(one.recipe, one.seed, one.settings["epochs"]) for one in runs] == [
        ("alphabet-time-steps", 7, 2),
        ("alphabet-time-steps", 8, 2),
        ("alphabet-window", 7, 1),
        ("alphabet-window", 8, 1),
    ]
    for one in runs:
        assert f"  accuracy {one.metrics['accuracy']:.4f}, loss {one.metrics['loss']:.4f}, " in first.stdout
        assert one.epochs == list(range(1, len(one.curve["loss"]) + 1))
    assert f"Wrote {page}\n" in first.stdout
    shown = []
    for first_run, second_run in (runs[:2], runs[2:]):
        low, high = sorted([first_run.metrics["accuracy"], second_run.metrics["accuracy"]])
        shown.append(f"{(low + high) / 2:.2%} ({low:.2%} to {high:.2%}; 2)".replace("%", " %"))
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(.*?)` \| accuracy \| .*? \| (.*?) \| .*? \| (.*?) \|", text, re.MULTILINE) == [
        ("alphabet-time-steps", shown[0], "-"),
        ("alphabet-window", "-", shown[1]),
    ]
    assert (tmp_path / "docs" / "alphabet.png").read_bytes().startswith(b"\x89PNG")

    def train(recipe: Recipe, *_: object) -> NoReturn:
        raise AssertionError(f"{recipe.name} was trained again")

    monkeypatch.setattr(pipeline, "fit_recipe", train)
    page.unlink()
    again = run("report", "--fast", *options)
    assert (again.exit_code, again.stdout) == (0, f"Wrote {page}\n")
    assert page.read_text(encoding="utf-8") == text
    window = tiny_recipes["alphabet-window"]
    for seed in (7, 8):
        Results(recorded).add(record(window.with_settings([f"seed={seed}"])))
    assert run("report", *options).exit_code == 0  # nothing is missing of what is published either


def test_report_refuses_a_results_file_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("no run\n")
    result = run("report", "--results", tmp_path / "results.jsonl", "--out", tmp_path / "docs.md")
    check_error(result, "line 1 of .*results.jsonl is not a run .*; remove it, and `report` runs it again")
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_report_keeps_what_is_recorded_where_the_data_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"imdb-20": replace(recipes.find("imdb-20"), fast={})}
    monkeypatch.setattr("training.reports.results.RECIPES", chosen)
    recorded = Results(tmp_path / "results.jsonl")
    recorded.add(record(chosen["imdb-20"], validation_accuracy=0.75))
    before = recorded.path.read_bytes()
    result = run("report", "--data", tmp_path / "none", "--results", recorded.path, "--out", tmp_path / "docs.md")
    assert result.exit_code == 1
    assert result.stdout.startswith("1 of 2: imdb-20, seed 8\n2 of 2: imdb-20, seed 9\n")
    errors = result.stderr.splitlines()
    assert [re.match("error: there is no .*none; --data takes", line) is not None for line in errors] == [
        True,
        True,
        False,
    ]
    assert errors[-1] == "2 of 2 runs failed; `report` runs them again"
    assert recorded.path.read_bytes() == before
    assert "75.00 %" in (tmp_path / "docs.md").read_text(encoding="utf-8")


def test_report_says_that_the_page_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.reports.results.RECIPES", {})
    (tmp_path / "file").write_text("mine")
    result = run("report", "--results", tmp_path / "none.jsonl", "--out", tmp_path / "file" / "docs.md")
    check_error(result, "Not a directory: .*file.*; the runs recorded so far are kept")
