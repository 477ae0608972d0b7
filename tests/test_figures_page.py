"""The figures of the recipes are the same everywhere: those of the recorded runs and of the committed bundles."""

import re
import subprocess
import sys
from pathlib import Path

from bundle.store import Store
from training import recipes
from training.reports.figures import COLUMNS, find_figures, list_measured, renew_table, show
from training.reports.report import write_report
from training.reports.results import Results

ROOT = Path(__file__).parent.parent
RESULTS = Results(ROOT / "docs" / "results.jsonl")
MEASURED, PROBLEMS = list_measured(Store(ROOT / "models"))
ACCURACY = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
RENEW = "call `python docs/make_figures.py`"


def test_all_bundles_have_figures() -> None:
    assert PROBLEMS == []


def test_the_page_of_accuracy_has_the_figures_of_every_model() -> None:
    assert renew_table(ACCURACY, RESULTS, MEASURED) == ACCURACY, RENEW
    for name in Store(ROOT / "models").names():
        assert re.search(rf"^\| `{name}` \| .* \({name}/\d+\b.*\) \|$", ACCURACY, re.MULTILINE)


def test_the_page_of_results_has_the_figures_of_every_recipe(tmp_path: Path) -> None:
    write_report(RESULTS, tmp_path / "results.md", MEASURED)
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == page, RENEW


def test_list_shows_the_same_figures() -> None:
    command = [sys.executable, "-m", "training", "list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [re.split("  +", line) for line in listed.splitlines() if not line.startswith(" ")]
    assert lines[0] == ["recipe", *COLUMNS]
    assert lines[1:] == [
        [recipe.name, *find_figures(RESULTS, MEASURED, recipe).cells] for recipe in recipes.RECIPES.values()
    ]


def test_the_page_of_experiments_has_the_figure_of_the_bundle() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| `imdb-500`"))
    (bundle,) = (each for each in MEASURED if each.name == "imdb-500")
    assert f" {show('accuracy', bundle.metrics['accuracy'])} " in row


def test_the_fast_variants_are_at_least_as_good_and_those_that_are_not_faster_are_named() -> None:
    slower = []
    for recipe in recipes.RECIPES.values():
        if recipe.fast:
            figures = find_figures(RESULTS, MEASURED, recipe)
            assert figures.published and figures.fast
            assert figures.fast.mean >= figures.published.mean
            if figures.fast.seconds >= figures.published.seconds:
                slower.append(recipe.name)
    (named,) = re.findall(r"in less time for all but (`.*?`):", " ".join(TRAINING.split()))
    assert named == " and ".join(f"`{name}`" for name in slower)
