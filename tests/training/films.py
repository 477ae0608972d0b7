"""The user's own labelled texts for tests: small files whose words tell the label, and small settings."""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.conftest import BAD, GOOD
from training import recipes
from training.recipes.labelled import LabelledSettings
from training.recipes.recipe import Recipe

QUIET = Console(quiet=True)

# All texts have as many words: a step is compiled once for each length.
SMALL = [
    "length=12",
    "units=4",
    "embedding=4",
    "small_rows=0",
    "replay=8",
    "new_words=10",
    *(f"{tuning}.{setting}" for tuning in ("transfer", "scratch") for setting in ("epochs=4", "learning_rate=0.05")),
    *(f"{tuning}.{size}=16" for tuning in ("transfer", "scratch") for size in ("batch_size", "short_batch_size")),
]
PLAIN = ("table", "wooden", "usual")


def find_recipe(*assignments: str) -> Recipe:
    return recipes.find("reviews").with_settings([*SMALL, *assignments])


def find_settings(*assignments: str) -> LabelledSettings:
    settings = find_recipe(*assignments).settings
    assert isinstance(settings, LabelledSettings)
    return settings


def write(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def make_rows(*words: tuple[str, Sequence[str]], count: int = 8) -> list[tuple[str, str]]:
    """Return rows whose words tell their label."""
    return [
        (f"It is the {word} film of day {number}.", label)
        for label, many in words
        for word in many
        for number in range(count)
    ]


TWO = make_rows(("negative", BAD), ("positive", GOOD))
THREE = make_rows(("negative", BAD), ("neutral", PLAIN), ("positive", GOOD))
