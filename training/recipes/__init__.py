"""Every named recipe. A new family of recipes is a module here and an entry in `RECIPES`.

The room imports neither Keras nor TensorFlow, so that the command line refuses a bad recipe at once.
"""

from pydantic import JsonValue

from training.errors import RecipeError
from training.recipes import letters, reviews, staged
from training.recipes.recipe import Recipe, suggest
from training.recipes.settings import flatten

RECIPES = {recipe.name: recipe for recipe in (*letters.RECIPES, *staged.RECIPES, *reviews.RECIPES)}


def find(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        RecipeError: there is none.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r}; {suggest(name, RECIPES)}")
    return RECIPES[name]


def find_published(recipe: Recipe, metric: str) -> float | None:
    """Return the figure of a recipe's source; it is known for the named settings, with any seed, and the fast variant.

    Other settings have no published figure.
    """
    original = find(recipe.name)
    variants = [original, original.with_settings(["fast=true"])] if original.fast else [original]
    seeded = [variant.settings.model_copy(update={"seed": recipe.settings.seed}) for variant in variants]
    return recipe.published.get(metric) if recipe.settings in seeded else None


def find_changes(recipe: Recipe) -> dict[str, JsonValue]:
    """Return the settings of a recipe that differ from those of the named one."""
    original = flatten(find(recipe.name).settings)
    return {name: told[0] for name, told in flatten(recipe.settings).items() if told != original.get(name)}
