"""Letters to the next letter: the settings of this family, and its recipes."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from bundle.tasks import NEXT_LETTER, Task
from training.recipes.recipe import Recipe
from training.recipes.stack import PLAIN_STACK, PLAIN_TRAINING, TrainingSettings

MOST_LETTERS = 26  # of a run that stays within the alphabet, or wraps round it once

# The settings that PyTorch's nn.LSTM with a linear layer can have.
PLAIN_LETTERS: dict[str, object] = PLAIN_STACK | {"features": 0, "stateful": False}


class LetterSettings(TrainingSettings):
    """LSTM layers over the letters, then a softmax over the alphabet."""

    task: ClassVar[Task] = NEXT_LETTER

    patterns: Literal["random", "all", "alphabet", "prefixes"] = Field(
        description="`random`: runs within the alphabet as the reference draws them; "
        "`all`: runs from every letter, of every length, wrapping round from Z to A; "
        "`alphabet`: all runs of the longest length within the alphabet; `prefixes`: all runs that begin with A."
    )
    examples: int = Field(default=1000, ge=1, description="Number of `random` patterns.")
    short_run_copies: int = Field(
        default=1,
        ge=1,
        description="Copies of a one-letter run in the training data; runs of n letters have 1/n as many, at least 1.",
    )
    length: int = Field(ge=1, le=1000, description="Letters of the longest sequence.")
    layout: Literal["steps", "features"] = Field(
        default="steps", description="Each letter is a time step, or all letters are the features of a single step."
    )
    first_code: Literal[0, 1] = Field(
        default=1, description="Code of the letter A; padding is 0, or -1 if A is 0 and the padding is masked."
    )
    mask_padding: bool = Field(default=True, description="The network skips the padding.")
    features: int = Field(
        default=0, ge=0, le=4096, description="Units of a tanh layer that spreads a letter's number out; 0 for none."
    )
    framework: Literal["keras", "torch"] = Field(
        default="keras", description="Framework of the training; the bundle has a Keras network in both cases."
    )
    stateful: bool = Field(
        default=False,
        description="Trained letter by letter; the state is kept through an epoch and reset after it.",
    )

    @model_validator(mode="after")
    def _only_random_patterns_have_a_number(self) -> Self:
        if self.patterns != "random" and self.examples != type(self).model_fields["examples"].default:
            raise ValueError(f"patterns={self.patterns} has a fixed number; examples is for patterns=random only")
        return self

    @model_validator(mode="after")
    def _runs_fit_the_alphabet(self) -> Self:
        if self.patterns in ("alphabet", "prefixes") and self.length >= MOST_LETTERS:
            raise ValueError(f"patterns={self.patterns} needs a length below {MOST_LETTERS}: no letter follows Z")
        return self

    @model_validator(mode="after")
    def _features_are_one_step(self) -> Self:
        if self.layout == "features" and (self.mask_padding or self.features or self.stateful):
            raise ValueError(
                "layout=features has a single step: it needs mask_padding=false, features=0, stateful=false"
            )
        return self

    @model_validator(mode="after")
    def _state_has_one_way_through_an_epoch(self) -> Self:
        if self.stateful and (
            wrong := self.differences(
                patterns="prefixes",
                mask_padding=True,
                bidirectional=False,
                pooling="last",
                normalisation="none",
                batch_size=1,
                shuffle=False,
                validation_share=0,
                short_run_copies=1,
            )
        ):
            raise ValueError(f"stateful=true reads the alphabet letter by letter and needs {wrong}")
        return self

    @model_validator(mode="after")
    def _torch_trains_plain_networks(self) -> Self:
        if self.framework == "torch" and (wrong := self.differences(**PLAIN_LETTERS, **PLAIN_TRAINING)):
            raise ValueError(
                f"framework=torch supports only nn.LSTM, a linear layer, cross-entropy and Adam; it needs {wrong}"
            )
        return self


_TUTORIAL = "the widespread tutorial on Keras LSTMs and the alphabet"
_DESCRIPTION = "a description of LSTM classifiers and the choices that they need"

# The code of a letter is its number, from 0 on, divided by 26; so A equals the padding, 0.
_AS_PUBLISHED: dict[str, Any] = {"first_code": 0, "mask_padding": False}

# For batches of one: the same number of patterns as in the source, but less than half the epochs.
_FEWER_STEPS: dict[str, JsonValue] = {"learning_rate": 0.02, "schedule": "cosine", "epochs": 200}

RECIPES = (
    Recipe(
        name="next-letter",
        summary="1 to 26 consecutive letters, wrapping round, to the next one",
        source="this project; extends alphabet-variable-length as its source proposes",
        published={},
        settings=LetterSettings(
            patterns="all",
            short_run_copies=26,
            length=26,
            features=64,
            units=64,
            learning_rate=1e-2,
            schedule="cosine",
            batch_size=64,
            epochs=60,
            steps_per_call=37,  # an epoch
        ),
    ),
    Recipe(
        name="alphabet-one-to-one",
        summary="one letter to the next one",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 0.84},
        settings=LetterSettings(
            patterns="alphabet", length=1, units=32, batch_size=1, epochs=500, steps_per_call=25, **_AS_PUBLISHED
        ),
        fast=_FEWER_STEPS,
    ),
    Recipe(
        name="alphabet-window",
        summary="3 letters as features of one step to the next one",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 0.8696},
        settings=LetterSettings(
            patterns="alphabet",
            length=3,
            layout="features",
            units=32,
            batch_size=1,
            epochs=500,
            steps_per_call=23,
            **_AS_PUBLISHED,
        ),
        fast=_FEWER_STEPS,
    ),
    Recipe(
        name="alphabet-time-steps",
        summary="3 letters as time steps to the next one",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 1.0},
        settings=LetterSettings(
            patterns="alphabet", length=3, units=32, batch_size=1, epochs=500, steps_per_call=23, **_AS_PUBLISHED
        ),
        fast=_FEWER_STEPS,
    ),
    Recipe(
        name="alphabet-state-in-batch",
        summary="one letter to the next one, the whole alphabet in order as one batch",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 1.0},
        settings=LetterSettings(
            patterns="alphabet", length=1, units=16, batch_size=25, epochs=5000, shuffle=False, **_AS_PUBLISHED
        ),
        fast={"learning_rate": 0.03, "schedule": "cosine", "epochs": 600},
    ),
    Recipe(
        name="alphabet-stateful",
        summary="the alphabet letter by letter, the state carried on, to the next letter",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 1.0},
        settings=LetterSettings(
            patterns="prefixes",
            length=25,
            stateful=True,
            first_code=0,
            units=50,
            batch_size=1,
            epochs=300,
            shuffle=False,
            steps_per_call=25,
        ),
        fast={"learning_rate": 0.01, "schedule": "cosine", "epochs": 100},
    ),
    Recipe(
        name="alphabet-variable-length",
        summary="1 to 5 letters, padded with zeros, to the next one",
        source=_TUTORIAL,
        family="alphabet",
        published={"accuracy": 0.9890},
        settings=LetterSettings(
            patterns="random",
            examples=1000,
            length=5,
            units=32,
            batch_size=1,
            epochs=500,
            steps_per_call=100,
            **_AS_PUBLISHED,
        ),
        fast={"batch_size": 10, "learning_rate": 0.03, "schedule": "cosine", "epochs": 300},
    ),
    Recipe(
        name="stacked",
        summary="three LSTM layers on top of one another, 1 to 26 letters to the next one, a fifth held out",
        source=_DESCRIPTION,
        family="classifier",
        published={},
        settings=LetterSettings(
            patterns="all",  # no two are equal, so held-out patterns are never trained on
            short_run_copies=26,
            length=26,
            units=128,
            further_units=(64, 32),
            batch_size=256,
            epochs=100,
            validation_share=0.2,
            steps_per_call=8,
        ),
        fast={"learning_rate": 0.01, "schedule": "cosine", "epochs": 40},
    ),
    Recipe(
        name="torch",
        summary="the same task trained with PyTorch, one LSTM layer, 3 letters to the next one",
        source=_DESCRIPTION,
        family="classifier",
        published={},
        settings=LetterSettings(
            framework="torch",
            patterns="alphabet",
            length=3,
            mask_padding=False,
            units=128,
            batch_size=1000,  # more than there are patterns
            epochs=100,
        ),
        fast={"learning_rate": 0.015, "epochs": 80},
    ),
)
