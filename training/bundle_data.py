"""What a published bundle was made with, and what it is measured on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, JsonValue, ValidationError
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.store import Bundle
from training import alphabet, coding, imdb, recipes
from training.errors import RecipeError
from training.fit import Examples, split_randomly
from training.recipes import Recipe
from training.settings import LetterSettings, ReviewSettings, StagedSettings


@dataclass(frozen=True)
class BundleData:
    """What a bundle is measured on; `held_out` is None where its network was trained on all, or elsewhere."""

    test: Examples
    held_out: Examples | None
    sha256: str
    reviews: imdb.Imdb | None

    @classmethod
    def read(cls, bundle: Bundle, source: Path | None, console: Console) -> Self:
        """Read the data of a bundle's recipe.

        Raises:
            DataError: see `imdb.load`.
            RecipeError: the recipe is not one of this release.
        """
        settings, codec = read_settings(bundle), bundle.codec
        share = 0 if "converted" in bundle.manifest.recipe else settings.validation_share
        if isinstance(codec, LetterCodec):
            assert isinstance(settings, LetterSettings)
            patterns = alphabet.make_patterns(settings)
            test, dataset = coding.describe_patterns(codec, settings, patterns, 0)
            _, indices = split_randomly(len(patterns), share, settings.seed)
            return cls(test, test.take(np.sort(indices)) if share else None, dataset.sha256, None)
        assert isinstance(settings, ReviewSettings)
        reviews = coding.load_reviews(source, console)
        test, dataset = coding.describe_reviews(codec, reviews, 0, console)
        if not share:
            return cls(test, None, dataset.sha256, reviews)
        _, indices = imdb.hold_out(reviews.train, share, settings.validation, settings.seed)
        held_out_reviews = tuple(reviews.train[index] for index in indices)
        held_out = coding.code_reviews(codec, held_out_reviews, "Coding the held-out reviews", console)
        return cls(test, held_out, dataset.sha256, reviews)


def read_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe of a bundle, with its settings.

    Raises:
        RecipeError: it is not one of this release.
    """
    recipe = recipes.find(str(bundle.manifest.recipe.get("name")))
    kind = type(recipe.settings)
    try:
        return replace(recipe, settings=kind.model_validate(_read_fields(bundle, kind)))
    except ValidationError as error:
        raise _unknown_recipe(bundle, error) from error


def _read_fields(bundle: Bundle, kind: type[BaseModel]) -> dict[str, JsonValue]:
    """Return the recorded settings of a bundle, of those that a kind has."""
    recorded = bundle.manifest.recipe.get("settings")
    fields = recorded if isinstance(recorded, dict) else {}
    return {name: value for name, value in fields.items() if name in kind.model_fields}


def read_settings(bundle: Bundle) -> LetterSettings | ReviewSettings:
    """Return the settings of a bundle's network; those of its training that this release has not are left out.

    Raises:
        RecipeError: they are not those of this release.
    """
    staged = _read_fields(bundle, StagedSettings)
    try:
        if "student" in staged:
            return StagedSettings.model_validate(staged).published
        kind = LetterSettings if isinstance(bundle.codec, LetterCodec) else ReviewSettings
        return kind.model_validate(_read_fields(bundle, kind))
    except ValidationError as error:
        raise _unknown_recipe(bundle, error) from error


def _unknown_recipe(bundle: Bundle, error: ValidationError) -> RecipeError:
    return RecipeError(
        f"{bundle.folder} has a recipe of another release ({error.error_count()} fields do not fit); "
        "use the release that trained it"
    )
