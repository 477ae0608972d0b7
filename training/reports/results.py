"""The recorded runs of the recipes for the report, and the runs that are missing."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, JsonValue, ValidationError

from training.errors import ResultsError
from training.recipes import RECIPES
from training.recipes.recipe import Family, Recipe

RESULTS = Path("docs/results.jsonl")

SEEDS: dict[Family, int] = {"alphabet": 5, "classifier": 5, "imdb": 3}
_POINTS = 200  # recorded points of a learning curve
LOWER_IS_BETTER = {"loss"}
HELD_OUT = "validation_accuracy"  # the metric that is measured on a part of the training data

Variant = Literal["published", "fast"]


class Run(BaseModel):
    """One training of a recipe with its results.

    `metrics` are the same as in a bundle's manifest; `dataset` is the SHA-256 of their data; `curve` is the training
    history at up to 200 epochs, whose numbers are in `epochs`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    recipe: str
    settings: dict[str, JsonValue]
    metrics: dict[str, FiniteFloat]
    dataset: str
    parameters: int
    seconds: float
    cores: int
    epochs: list[int]
    curve: dict[str, list[float]]
    frameworks: dict[str, str]

    @property
    def seed(self) -> int:
        """The seed it was trained with."""
        return int(str(self.settings["seed"]))

    @classmethod
    def record(
        cls,
        recipe: Recipe,
        metrics: dict[str, float],
        history: dict[str, list[float]],
        dataset: str,
        parameters: int,
        seconds: float,
        frameworks: dict[str, str],
    ) -> Self:
        """Return the record of a run."""
        epochs = len(history["loss"])
        kept = np.unique(np.linspace(0, epochs - 1, min(epochs, _POINTS)).round().astype(int)).tolist()
        return cls(
            recipe=recipe.name,
            settings=_dump(recipe),
            metrics={name: round(value, 6) for name, value in metrics.items()},
            dataset=dataset,
            parameters=parameters,
            seconds=round(seconds, 1),
            cores=len(os.sched_getaffinity(0)),
            epochs=[epoch + 1 for epoch in kept],
            curve={name: [round(values[epoch], 5) for epoch in kept] for name, values in history.items()},
            frameworks=frameworks,
        )


class Results:
    """The results file: one run per line, in JSON."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one.

        Raises:
            ResultsError: a line is not a run.
        """
        self.path = path
        self.runs: list[Run] = []
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                self.runs.append(Run.model_validate_json(line))
            except ValidationError as error:
                raise ResultsError(
                    f"line {number} of {path} is not a run ({error.error_count()} fields do not fit); remove it, "
                    "and `report` runs it again"
                ) from error

    def add(self, run: Run) -> None:
        """Append a run to the file, completely or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = f"{run.model_dump_json()}\n".encode()
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):  # the disk is full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
        self.runs.append(run)

    def of(self, recipe: Recipe) -> list[Run]:
        """Return the runs with the settings of a recipe, with any seed, sorted by seed.

        A run that is older than a setting counts as a run with the default of this setting.
        """
        found = {
            run.seed: run
            for run in self.runs
            if run.recipe == recipe.name
            and _read(recipe, run.settings | {"seed": recipe.settings.seed}) == recipe.settings
        }
        return [found[seed] for seed in sorted(found)]


def find_missing(results: Results, fast_only: bool) -> Iterator[Recipe]:
    """Yield the recipes, each with its seed, whose runs the report needs but are not recorded."""
    for recipe in RECIPES.values():
        if recipe.family:
            for _, variant in variants(recipe, fast_only):
                recorded = {run.seed for run in results.of(variant)}
                first = recipe.settings.seed
                for seed in range(first, first + SEEDS[recipe.family]):
                    if seed not in recorded:
                        yield variant.with_settings([f"seed={seed}"])


def variants(recipe: Recipe, fast_only: bool) -> Iterator[tuple[Variant, Recipe]]:
    """Yield the recipe as published and its fast variant, if any; with `fast_only`, only the fast variant."""
    if not (fast_only and recipe.fast):
        yield "published", recipe
    if recipe.fast:
        yield "fast", recipe.with_settings(["fast=true"])


def find_kind(recipe: Recipe, settings: JsonValue) -> Literal["published", "fast", "other"]:
    """Return which settings of a recipe some recorded settings are, with any seed."""
    recorded = settings if isinstance(settings, dict) else {}
    found = _read(recipe, recorded | {"seed": recipe.settings.seed})
    kinds = (kind for kind, variant in variants(recipe, fast_only=False) if variant.settings == found)
    return next(kinds, "other")


def _dump(recipe: Recipe) -> dict[str, JsonValue]:
    dumped: dict[str, JsonValue] = json.loads(recipe.settings.model_dump_json())
    return dumped


def _read(recipe: Recipe, settings: dict[str, JsonValue]) -> BaseModel | None:
    """Return recorded settings as an object of the recipe's class, None if they no longer fit."""
    try:
        return type(recipe.settings).model_validate(settings)
    except ValidationError:
        return None
