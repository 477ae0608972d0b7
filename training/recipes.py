"""Every named recipe: which network on which data, trained how."""

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from bundle.reviews import RESERVED_IDS
from training.errors import RecipeError

KERAS_RANKS = 9_996  # words in keras_words.txt; with the reserved ids the usual 10,000


class TrainingSettings(BaseModel):
    """What every recipe has to choose; the defaults are those of Keras."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    units: int = Field(ge=1, le=4096, description="Units of the LSTM, per direction.")
    optimiser: Literal["adam", "rmsprop"] = Field(default="adam", description="As Keras has it.")
    weight_decay: float | None = Field(
        default=None, gt=0, description="Share of every weight taken off per step, times the learning rate."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="At the first step.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Of the learning rate; cosine falls to zero at the last step."
    )
    clip_norm: float | None = Field(default=None, gt=0, description="Gradients are scaled to at most this L2 norm.")
    batch_size: int = Field(ge=1, description="Examples a step.")
    epochs: int = Field(ge=1, description="Passes over the training data.")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after this many epochs without a better loss, and restore the best."
    )
    steps_per_call: int = Field(
        default=1, ge=1, description="Steps run without returning to Python: changes the speed, not the weights."
    )
    seed: int = Field(default=7, ge=0, lt=2**32, description="Of the data's order, the first weights and the dropout.")


class LetterSettings(TrainingSettings):
    """LSTM over the letters, then a softmax over the alphabet."""

    patterns: Literal["random", "all"] = Field(
        description="`random`: runs within the alphabet as the reference draws them; "
        "`all`: from every letter, of every length, wrapping round from Z to A."
    )
    examples: int = Field(default=1000, ge=1, description="Number of `random` patterns.")
    short_run_copies: int = Field(
        default=1,
        ge=1,
        description="Copies of a one-letter run in the training data; one of n letters has 1/n as many, at least one.",
    )
    length: int = Field(ge=1, le=1000, description="Letters of the longest sequence.")
    first_code: Literal[0, 1] = Field(default=1, description="Code of the letter A; padding is 0.")
    mask_padding: bool = Field(default=True, description="The network skips the padding.")
    features: int = Field(
        default=0, ge=0, le=4096, description="Units of a tanh layer that spreads a letter's number out; 0 for none."
    )

    @model_validator(mode="after")
    def _a_is_not_masked(self) -> Self:
        if self.mask_padding and self.first_code == 0:
            raise ValueError("with first_code=0 the letter A is coded as padding, so mask_padding=true would skip it")
        return self


class ReviewSettings(TrainingSettings):
    """Embedding, LSTM, pooling over time, then one sigmoid."""

    tokeniser: Literal["keras", "words"] = Field(
        description="Words as `keras.datasets.imdb` has them, or with the marks that carry sentiment."
    )
    ranks: Literal["counted", "keras"] = Field(
        default="counted",
        description="Word ranks: counted on the reviews that are trained on, or those of `keras.datasets.imdb`, which "
        "differ from those counted on the labelled ones only in the order of words that are equally frequent.",
    )
    vocabulary_size: int = Field(ge=5, description="Number of word ids, the four reserved ones included.")
    length: int = Field(ge=1, le=10_000, description="Words read of a review; of longer ones the last.")
    embedding: int = Field(ge=1, le=4096, description="Size of a word's vector.")
    unlabelled: Literal["ignored", "soft-labelled"] = Field(
        default="ignored",
        description="Also train on the unlabelled reviews, with the probabilities that an n-gram model gives them.",
    )
    teacher_ngram: int = Field(default=3, ge=1, le=5, description="Words in the longest n-gram of that model.")
    teacher_reviews: int = Field(default=2, ge=1, description="Fewest reviews an n-gram of that model has to be in.")
    teacher_c: float = Field(default=1.0, gt=0, description="Inverse of that model's L2 regularisation.")
    bidirectional: bool = Field(default=False, description="A second LSTM reads the review backwards.")
    pooling: Literal["last", "mean-max"] = Field(
        default="last", description="What the classifier sees: the last state, or mean and maximum over the words."
    )
    mask_padding: bool = Field(default=False, description="The network skips the padding.")
    word_dropout: float = Field(default=0, ge=0, lt=1, description="Share of words replaced by the unknown word.")
    embedding_dropout: float = Field(
        default=0, ge=0, lt=1, description="Share of vector components, the same all over."
    )
    output_dropout: float = Field(default=0, ge=0, lt=1, description="Share of what the classifier sees.")
    validation_share: float = Field(default=0.2, ge=0, lt=1, description="Share of the training reviews held out.")
    validation: Literal["random", "last"] = Field(
        default="random", description="Held out at random, or the last files of either label, which are other films."
    )

    @model_validator(mode="after")
    def _keras_ranks_reach(self) -> Self:
        if self.ranks == "keras" and (self.vocabulary_size > KERAS_RANKS + RESERVED_IDS or self.tokeniser != "keras"):
            raise ValueError(
                f"ranks=keras needs tokeniser=keras and a vocabulary_size of at most {KERAS_RANKS + RESERVED_IDS}; "
                "choose ranks=counted"
            )
        return self

    @model_validator(mode="after")
    def _pooling_needs_a_mask(self) -> Self:
        if self.pooling == "mean-max" and not self.mask_padding:
            raise ValueError("pooling=mean-max pools over the words and needs mask_padding=true")
        return self


@dataclass(frozen=True)
class Recipe:
    """A named recipe; `published` is the figure its source gives, by metric."""

    name: str
    summary: str
    source: str
    published: dict[str, float]
    settings: LetterSettings | ReviewSettings

    @property
    def task(self) -> Literal["next-letter", "sentiment"]:
        """The task a bundle of this recipe serves."""
        return "next-letter" if isinstance(self.settings, LetterSettings) else "sentiment"

    def with_settings(self, assignments: Sequence[str]) -> Self:
        """Return the recipe with `key=value` assignments applied.

        Raises:
            RecipeError: an assignment is not one, names no field, or has a value the field cannot have.
        """
        fields = type(self.settings).model_fields
        values = self.settings.model_dump()
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals:
                raise RecipeError(f"{assignment!r} is not an assignment; write key=value, as in units=64")
            if key not in fields:
                raise RecipeError(f"{self.name} has no field {key!r}; {_nearest(key, fields)}")
            values[key] = _parse(text)
        try:
            settings = type(self.settings).model_validate(values)
        except ValidationError as error:
            problems = (
                f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
                + (f", not {problem['input']!r}" if problem["loc"] else "")
                for problem in error.errors()
            )
            raise RecipeError(f"{self.name} cannot be trained so; {'; '.join(problems)}") from error
        return replace(self, settings=settings)

    def changes(self) -> dict[str, JsonValue]:
        """Return the settings that are not those of the named recipe."""
        original = find(self.name).settings.model_dump()
        return {name: value for name, value in self.settings.model_dump().items() if value != original[name]}


def find(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises:
        RecipeError: there is none.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r}; {_nearest(name, RECIPES)}")
    return RECIPES[name]


def _parse(text: str) -> object:
    """Read a value as JSON where it is (`3`, `true`, `null`), else as the text it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _nearest(name: str, known: Iterable[str]) -> str:
    """Say what could have been meant, and all there is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(known)}"


_RECIPES = (
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
        name="alphabet-variable-length",
        summary="1 to 5 letters, padded with zeros, to the next one",
        source="the widespread tutorial on Keras LSTMs and the alphabet",
        published={"accuracy": 0.9890},
        settings=LetterSettings(
            patterns="random",
            examples=1000,
            length=5,
            first_code=0,
            mask_padding=False,
            units=32,
            batch_size=1,
            epochs=500,
            steps_per_call=100,
        ),
    ),
    Recipe(
        name="sentiment",
        summary="400 words and marks, bidirectional LSTM, pooled; also learns from the unlabelled reviews",
        source="this project",
        published={},
        settings=ReviewSettings(
            tokeniser="words",
            unlabelled="soft-labelled",
            vocabulary_size=20_000,
            length=400,
            embedding=64,
            units=64,
            bidirectional=True,
            pooling="mean-max",
            mask_padding=True,
            word_dropout=0.1,
            embedding_dropout=0.3,
            output_dropout=0.5,
            learning_rate=3e-3,
            schedule="cosine",
            weight_decay=0.05,
            clip_norm=1.0,
            batch_size=64,
            epochs=2,
            validation="last",
            validation_share=0.05,
        ),
    ),
    Recipe(
        name="imdb-500",
        summary="500 words in the Keras coding, embedding 32, LSTM 32",
        source="the usual Keras example on keras.datasets.imdb",
        published={"accuracy": 0.86744, "loss": 0.3975},
        settings=ReviewSettings(
            tokeniser="keras",
            ranks="keras",
            vocabulary_size=10_000,
            length=500,
            embedding=32,
            units=32,
            optimiser="rmsprop",
            batch_size=128,
            epochs=10,
        ),
    ),
)

RECIPES = {recipe.name: recipe for recipe in _RECIPES}
