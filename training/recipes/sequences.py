"""The user's own sequences to the next character: the settings of this family, and its recipe."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from bundle.symbols import MOST_SYMBOLS
from bundle.tasks import NEXT_LETTER, Task
from training.recipes.recipe import Recipe
from training.recipes.settings import Share, Units
from training.recipes.stack import PLAIN_STACK, TrainingSettings

# What a network that learns from every step of its sequences can have.
_FIXED: dict[str, object] = PLAIN_STACK | {
    "mask_padding": True,
    "bidirectional": False,
    "input_dropout": 0,
    "recurrent_dropout": 0,
    "loss": "cross-entropy",
    "shuffle": True,
    "steps_per_call": 1,
}


class SequenceSettings(TrainingSettings):
    """An embedding of the characters and LSTM layers over it, then a softmax over the alphabet."""

    task: ClassVar[Task] = NEXT_LETTER

    alphabet: str | None = Field(
        default=None,
        description=f"The 2 to {MOST_SYMBOLS} characters of the sequences; by default those found in the file.",
    )
    fold_case: bool = Field(default=False, description="Whether upper and lower case are read as one.")
    length: int = Field(
        default=64, ge=1, le=1000, description="Characters that the network reads; longer sequences are cut."
    )
    embedding: Units = Field(default=32, description="Components of a character's vector.")
    mask_padding: bool = Field(default=True, description="The network skips the padding.")
    test_share: Share = Field(
        default=0.1, description="Share of the lines held out for the figures; 0 if they are of another file."
    )

    @model_validator(mode="after")
    def _every_step_is_learnt(self) -> Self:
        if wrong := self.differences(**_FIXED):
            raise ValueError(f"a network that learns from every step needs {wrong}")
        if not self.validation_share:
            raise ValueError("validation_share decides when the training stops; set it over 0")
        return self


RECIPES = (
    Recipe(
        name="letters",
        summary="your own sequences of any alphabet, one a line of a file, to the next character",
        source="this project",
        published={},
        settings=SequenceSettings(
            units=128,
            learning_rate=2e-3,
            clip_norm=1.0,
            batch_size=64,
            epochs=20,
            validation_share=0.1,
            patience=2,
        ),
    ),
)
