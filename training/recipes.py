"""Every named recipe: which network on which data, trained how."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from training.errors import RecipeError
from training.settings import (
    LanguageSettings,
    LetterSettings,
    ReviewSettings,
    RoundSettings,
    Settings,
    StagedSettings,
    TuningSettings,
    flatten,
)

Family = Literal["alphabet", "classifier", "imdb"]
_Settings = TypeVar("_Settings", bound=BaseModel)


@dataclass(frozen=True)
class Recipe:
    """A named recipe.

    `published` is the figure its source gives, by metric; `family` are the reference systems it is one of, None for
    the project's own; `fast` are settings that reach at least the same in a fraction of the time, for `fast=true`.
    """

    name: str
    summary: str
    source: str
    published: dict[str, float]
    settings: Settings
    family: Family | None = None
    fast: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def task(self) -> Literal["next-letter", "sentiment"]:
        """The task a bundle of this recipe serves."""
        return "next-letter" if isinstance(self.settings, LetterSettings) else "sentiment"

    def with_settings(self, assignments: Sequence[str]) -> Self:
        """Return the recipe with `key=value` assignments applied, one after the other.

        `fast=true` stands for the assignments of the fast variant.

        Raises:
            RecipeError: an assignment is not one, names no field, or has a value the field cannot have.
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
            # Settings within can be left out, but not given at once.
            if name not in place or (isinstance(place[name], dict) and value is not None):
                raise RecipeError(
                    f"{self.name} has no field {key!r}; {_nearest(key, [*flatten(self.settings), 'fast'])}"
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
            raise RecipeError(f"{self.name} cannot be trained so; {'; '.join(problems)}") from error
        return replace(self, settings=settings)

    def _find_fast(self, text: str) -> Mapping[str, JsonValue]:
        """Return what the value of `fast` stands for."""
        if _parse(text) is not True:
            raise RecipeError(f"fast can be true or left out, not {text!r}")
        if not self.fast:
            raise RecipeError(f"{self.name} has no fast variant; leave fast=true out")
        return self.fast

    def find_published(self, metric: str) -> float | None:
        """Return the figure of the source, which is one for its settings, with any seed, or their fast variant."""
        original = find(self.name)
        variants = [original, original.with_settings(["fast=true"])] if original.fast else [original]
        seeded = [variant.settings.model_copy(update={"seed": self.settings.seed}) for variant in variants]
        return self.published.get(metric) if self.settings in seeded else None

    def changes(self) -> dict[str, JsonValue]:
        """Return the settings that are not those of the named recipe."""
        original = flatten(find(self.name).settings)
        return {name: told[0] for name, told in flatten(self.settings).items() if told != original.get(name)}


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


def _vary(settings: _Settings, **changes: object) -> _Settings:
    """Return settings with some others, checked like those of a user; a copy's would not be."""
    return type(settings).model_validate(settings.model_dump() | changes)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Say what could have been meant, and all there is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(known)}"


_TUTORIAL = "the widespread tutorial on Keras LSTMs and the alphabet"
_DESCRIPTION = "a description of LSTM classifiers and the choices that they need"
_KERAS_EXAMPLE = "the usual Keras example on keras.datasets.imdb"

# A letter is coded as its number from 0 on over 26, which padding of 0 is read as well as.
_AS_PUBLISHED: dict[str, Any] = {"first_code": 0, "mask_padding": False}

# Of batches of one: as many patterns as in the source, seen less than half as often.
_FEWER_STEPS: dict[str, JsonValue] = {"learning_rate": 0.02, "schedule": "cosine", "epochs": 200}

# Of reviews, as the networks of the source know theirs by heart after two epochs.
_LESS_OVERFITTING: dict[str, JsonValue] = {
    "learning_rate": 0.003,
    "schedule": "cosine",
    "embedding_dropout": 0.3,
    "output_dropout": 0.3,
}

# Of batches that a GPU reads as fast as smaller ones.
_LANGUAGE = LanguageSettings(
    units=1024,
    embedding=256,
    passes=10,
    batch_size=512,
    sample=2048,
    learning_rate=2e-3,
    dropout=0.25,
    output_dropout=0.25,
    checkpoint_steps=1084,  # two passes
)
_TEACHER = TuningSettings(
    epochs=6, batch_size=128, embedding_dropout=0.4, adversarial="supervised", epsilon=4, checkpoint_steps=135
)
_IN_STAGES = StagedSettings(
    vocabulary_size=24_000,
    endings=512,
    length=600,
    validation_share=0.1,
    language=_LANGUAGE,
    folds=4,
    teacher=_TEACHER,
    second_round=RoundSettings(
        language=_vary(_LANGUAGE, passes=14),
        teacher=_vary(_TEACHER, epochs=5, batch_size=256, checkpoint_steps=283),
    ),
    student_language=_vary(
        _LANGUAGE, units=96, embedding=128, passes=10, learning_rate=3e-3, dropout=0.1, output_dropout=0
    ),
    student=TuningSettings(
        epochs=6,
        length=600,
        batch_size=256,
        learning_rate=2e-3,
        embedding_dropout=0.15,
        output_dropout=0.2,
        checkpoint_steps=283,
    ),
)

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
            patterns="all",  # no two of them equal, so that what is held out is not trained on
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
            batch_size=1000,  # more than there are
            epochs=100,
        ),
        fast={"learning_rate": 0.015, "epochs": 80},
    ),
    Recipe(
        name="sentiment",
        summary="600 words and marks, bidirectional LSTM, pooled; learns from teachers that read all reviews first",
        source="this project; the sources of its stages are listed in training/stages.py",
        published={},
        settings=_IN_STAGES,
    ),
    Recipe(
        name="sentiment-large",
        summary="the same with a student of 512 units",
        source="this project; the sources of its stages are listed in training/stages.py",
        published={},
        settings=_vary(
            _IN_STAGES,
            student_language=_vary(_LANGUAGE, units=512, passes=8),
            student=_vary(_TEACHER, epochs=4, batch_size=256, checkpoint_steps=283),
        ),
    ),
    Recipe(
        name="sentiment-night",
        summary="narrower teachers without adversarial training, for a night on two processor cores",
        source="this project; the sources of its stages are listed in training/stages.py",
        published={},
        settings=_vary(
            _IN_STAGES,
            language=LanguageSettings(units=512, embedding=256, passes=3, learning_rate=2e-3),
            folds=3,
            teacher=TuningSettings(epochs=4, embedding_dropout=0.4),
            second_round=None,
            student_language=LanguageSettings(units=96, embedding=128, passes=1),
            student=TuningSettings(epochs=4, length=600),
        ),
    ),
    Recipe(
        name="imdb-500",
        summary="500 words in the Keras coding, embedding 32, LSTM 32",
        source=_KERAS_EXAMPLE,
        family="imdb",
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
        fast=_LESS_OVERFITTING | {"mask_padding": True, "optimiser": "adam", "epochs": 2},
    ),
    Recipe(
        name="imdb-20",
        summary="20 words in the Keras coding, embedding 64, LSTM 64",
        source=_KERAS_EXAMPLE,
        family="imdb",
        published={"validation_accuracy": 0.7502},
        settings=ReviewSettings(
            tokeniser="keras",
            ranks="keras",
            vocabulary_size=10_000,
            length=20,
            embedding=64,
            units=64,
            batch_size=64,
            epochs=2,  # of 10: the figure of the source is that after the second, and it falls from then on
        ),
        fast=_LESS_OVERFITTING | {"embedding_dropout": 0.5, "output_dropout": 0.5, "batch_size": 128, "epochs": 3},
    ),
)

RECIPES = {recipe.name: recipe for recipe in _RECIPES}
