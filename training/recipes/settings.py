"""What every recipe chooses; `stack`, `letters`, `reviews` and `staged` add the settings of each family."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from bundle.tasks import Task

# Defaults are checked too, so that a field has numbers of one type: stages are found again by what they depend on.
STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

Units = Annotated[int, Field(ge=1, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]


class RecipeSettings(BaseModel):
    """Root of the settings of all families.

    Attributes:
        task: what a network of this family is asked.
        seed: of the data's order, the first weights and the dropout.
        validation_share: share of the training data held out.
    """

    model_config = STRICT

    task: ClassVar[Task]

    if TYPE_CHECKING:  # a family has the two fields in the place where its cards list them
        seed: int
        validation_share: float


def flatten(settings: BaseModel) -> dict[str, tuple[Any, str]]:
    """Return the value and the meaning of every field; one of settings within has a name such as `student.units`."""
    found: dict[str, tuple[Any, str]] = {}
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        if isinstance(within := getattr(settings, name), BaseModel):
            found |= {f"{name}.{inner}": told for inner, told in flatten(within).items()}
        else:
            found[name] = values[name], field.description or ""
    return found


def pick_fields(recorded: Mapping[str, JsonValue], kind: type[BaseModel]) -> dict[str, JsonValue]:
    """Return the recorded settings that a kind has; a later release may have dropped others."""
    return {name: value for name, value in recorded.items() if name in kind.model_fields}
