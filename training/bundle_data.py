"""The recipe of a published bundle, and the data that it is measured on."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue, ValidationError
from rich.console import Console

from bundle.store import Bundle
from training import recipes
from training.errors import RecipeError
from training.recipes.recipe import Recipe
from training.recipes.settings import RecipeSettings, pick_fields
from training.recipes.stack import TrainingSettings
from training.tasks import TRAINED
from training.tasks.trained import BundleData


def read_data(bundle: Bundle, source: Path | None, console: Console) -> BundleData:
    """Read the data of a bundle's recipe.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the recipe is not one of this release.
    """
    _check_recipe(bundle)
    settings = _read_settings(bundle)
    share = 0 if "converted" in bundle.manifest.recipe else settings.validation_share
    return TRAINED[bundle.manifest.task].read_data(
        bundle.codec, settings, share, source, console, bundle.manifest.labels
    )


def read_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe of a bundle, with its settings.

    Raises:
        RecipeError: it is not one of this release.
    """
    _check_recipe(bundle)
    recipe = recipes.find(str(bundle.manifest.recipe.get("name")))
    kind = type(recipe.settings)
    try:
        return replace(recipe, settings=kind.model_validate(pick_fields(_read_recorded(bundle), kind)))
    except ValidationError as error:
        raise _unknown_recipe(bundle, error) from error


def read_settings(bundle: Bundle) -> TrainingSettings:
    """Return the settings of a bundle's network, without training settings that this release does not have.

    Raises:
        RecipeError: the settings do not fit this release, or the recipe chose the network by the data.
    """
    settings = _read_settings(bundle)
    if not isinstance(settings, TrainingSettings):
        raise RecipeError(f"{bundle.folder} has a network that its recipe chose by the data, so it cannot be converted")
    return settings


def _read_settings(bundle: Bundle) -> RecipeSettings:
    try:
        settings: RecipeSettings = TRAINED[bundle.manifest.task].read_settings(_read_recorded(bundle))
    except ValidationError as error:
        raise _unknown_recipe(bundle, error) from error
    return settings


def _check_recipe(bundle: Bundle) -> None:
    """Return if a bundle was made by a recipe.

    Raises:
        RecipeError: it was imported.
    """
    if isinstance(imported := bundle.manifest.recipe.get("imported"), dict):
        raise RecipeError(
            f"{bundle.folder} was imported from {imported['file']}; its recipe and data are unknown, so import the "
            "model again instead"
        )


def _read_recorded(bundle: Bundle) -> Mapping[str, JsonValue]:
    recorded = bundle.manifest.recipe.get("settings")
    return recorded if isinstance(recorded, dict) else {}


def _unknown_recipe(bundle: Bundle, error: ValidationError) -> RecipeError:
    return RecipeError(
        f"{bundle.folder} has a recipe of another release ({error.error_count()} fields do not fit); "
        "use the release that trained it"
    )
