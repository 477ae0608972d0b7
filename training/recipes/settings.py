"""The settings of every recipe; `stack`, `letters`, `reviews` and `staged` add the settings of each family."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from bundle.tasks import Task

# Defaults are validated too, so that a field always has numbers of one type: the name of a stage's folder has a hash of
# its settings.
STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

Units = Annotated[int, Field(ge=1, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]


class RecipeSettings(BaseModel):
    """Root of the settings of all families.

    Attributes:
        task: the task of the networks of this family.
        seed: random seed of the data's order, the first weights and the dropout.
        validation_share: share of the training data held out.
    """

    model_config = STRICT

    task: ClassVar[Task]

    if TYPE_CHECKING:  # each family declares the two fields itself, in the order of its cards
        seed: int
        validation_share: float


def flatten(settings: BaseModel) -> dict[str, tuple[Any, str]]:
    """Return the value and the meaning of every field; nested fields have names such as `student.units`."""
    found: dict[str, tuple[Any, str]] = {}
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        if isinstance(within := getattr(settings, name), BaseModel):
            found |= {f"{name}.{inner}": entry for inner, entry in flatten(within).items()}
        else:
            found[name] = values[name], field.description or ""
    return found


def pick_fields(recorded: Mapping[str, JsonValue], kind: type[BaseModel]) -> dict[str, JsonValue]:
    """Return the recorded settings that a class of settings has; a later release may have dropped others."""
    return {name: value for name, value in recorded.items() if name in kind.model_fields}
