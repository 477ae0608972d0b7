"""A named recipe: a network, its data and its training settings."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import JsonValue, ValidationError

from training.errors import RecipeError
from training.recipes.settings import RecipeSettings, flatten

Family = Literal["alphabet", "classifier", "imdb"]


@dataclass(frozen=True)
class Recipe:
    """A named recipe.

    `published` has the figures of its source, by metric. `family` is its group of reference systems, None for the
    project's own recipes. `fast` are the settings for `fast=true`, which reach at least the same figures, nearly all in
    less time.
    """

    name: str
    summary: str
    source: str
    published: dict[str, float]
    settings: RecipeSettings
    family: Family | None = None
    fast: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task a bundle of this recipe serves."""
        return self.settings.task.name

    def with_settings(self, assignments: Sequence[str]) -> Self:
        """Return the recipe with `key=value` assignments applied, one after the other.

        `fast=true` stands for the assignments of the fast variant.

        Raises:
            RecipeError: an assignment has no `=`, an unknown field or an invalid value.
        """
        values = self.settings.model_dump()
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals:
                raise RecipeError(f"{assignment!r} is not an assignment; write key=value, as in units=64")
            if key == "fast":
                values |= self._find_fast(text)
                continue
            *parents, name = key.split(".")
            value, place = _parse(text), values
            for parent in parents:
                within = place.get(parent)
                place = within if isinstance(within, dict) else {}
            # A group of settings can be removed (null), but not set as a whole.
            if name not in place or (isinstance(place[name], dict) and value is not None):
                raise RecipeError(
                    f"{self.name} has no field {key!r}; {suggest(key, [*flatten(self.settings), 'fast'])}"
                )
            place[name] = value
        try:
            settings = type(self.settings).model_validate(values)
        except ValidationError as error:
            problems = (
                f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
                + (f", not {problem['input']!r}" if problem["loc"] else "")
                for problem in error.errors()
            )
            raise RecipeError(f"{self.name} cannot be trained with these settings; {'; '.join(problems)}") from error
        return replace(self, settings=settings)

    def _find_fast(self, text: str) -> Mapping[str, JsonValue]:
        """Return the settings for a value of `fast`."""
        if _parse(text) is not True:
            raise RecipeError(f"fast can be true or left out, not {text!r}")
        if not self.fast:
            raise RecipeError(f"{self.name} has no fast variant; leave fast=true out")
        return self.fast


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the closest known name and all known names, as the end of a message."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(known)}"


def _parse(text: str) -> object:
    """Read a value as JSON if it is JSON (`3`, `true`, `null`), else as text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
