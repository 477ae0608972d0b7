"""Every named recipe. A new family of recipes is a module here and an entry in `RECIPES`.

The package imports neither Keras nor TensorFlow, so that the command line refuses an invalid recipe at once.
"""

from pydantic import JsonValue

from training.errors import RecipeError
from training.recipes import general, labelled, letters, reviews, sequences, staged
from training.recipes.recipe import Recipe, suggest
from training.recipes.settings import flatten

_FAMILIES = (letters, sequences, labelled, general, staged, reviews)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for family in _FAMILIES for recipe in family.RECIPES}


def find(name: str) -> Recipe:
    """Return the recipe with a name.

    Raises:
        RecipeError: there is no such recipe.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r}; {suggest(name, RECIPES)}")
    return RECIPES[name]


def find_published(recipe: Recipe, metric: str) -> float | None:
    """Return the figure of a recipe's source, or None.

    It applies to the recipe's own settings and to its fast variant, with any seed; other settings have no figure.
    """
    original = find(recipe.name)
    variants = [original, original.with_settings(["fast=true"])] if original.fast else [original]
    seeded = [variant.settings.model_copy(update={"seed": recipe.settings.seed}) for variant in variants]
    return recipe.published.get(metric) if recipe.settings in seeded else None


def find_changes(recipe: Recipe) -> dict[str, JsonValue]:
    """Return the settings of a recipe that differ from the defaults of the recipe with its name."""
    original = flatten(find(recipe.name).settings)
    return {name: entry[0] for name, entry in flatten(recipe.settings).items() if entry != original.get(name)}
