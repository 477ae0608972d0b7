"""The recorded runs of the reference systems: complete, reproduced, and what the page says."""

from pathlib import Path

import pytest

from bundle.store import Store
from training.recipes import RECIPES
from training.recipes.recipe import Recipe
from training.reports.figures import list_measured
from training.reports.report import Row, write_report
from training.reports.results import RESULTS, Results, find_missing, variants

ROOT = Path(__file__).parent.parent
RECORDED = Results(ROOT / RESULTS)
REFERENCES = {recipe.name: recipe for recipe in RECIPES.values() if recipe.family}


def test_every_seed_of_every_fast_variant_is_recorded() -> None:
    assert list(find_missing(RECORDED, fast_only=True)) == []


@pytest.mark.parametrize("recipe", REFERENCES.values(), ids=REFERENCES)
def test_every_published_figure_is_reproduced(recipe: Recipe) -> None:
    rows = [
        Row(recipe, name, runs) for name, variant in variants(recipe, fast_only=False) if (runs := RECORDED.of(variant))
    ]
    for metric in recipe.published:
        assert {row.verdict(metric) for row in rows} & {"beaten", "reached", "reproduced"}


def test_the_page_is_that_of_the_recorded_runs(tmp_path: Path) -> None:
    measured, _ = list_measured(Store(ROOT / "models"))
    write_report(RECORDED, tmp_path / "results.md", measured)
    assert (tmp_path / "results.md").read_text("utf-8") == (ROOT / "docs" / "results.md").read_text("utf-8")
    plots = {path.name for path in (tmp_path / "results").iterdir()}
    assert plots == {path.name for path in (ROOT / "docs" / "results").iterdir()}
