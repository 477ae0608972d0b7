"""What a task is to the service: its requests and answers, and how texts become rows and outputs become answers."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from app.errors import TOO_LATE, DeadlineError, FieldProblem, InvalidInputError, Location
from app.runtime.queue import Output, Permit
from app.runtime.repository import Model
from bundle.errors import InputError
from bundle.manifest import Manifest
from bundle.rows import Row
from bundle.tasks import Task

NAME_CHARACTERS = 63
MOST_FIELDS = 100  # of a body; those that are unknown are named up to this number
# Encoding texts pauses after this time, ...
SLICE_SECONDS = 0.005
# ... for this many passes of the event loop, so that a small request that has come is answered at once. It needs about
# ten, from reading it to its batch and its answer; a pass that has nothing to do takes microseconds.
PASSES = 16

ModelName = Annotated[
    str | None,
    Field(
        max_length=NAME_CHARACTERS,
        description="A model of this task that `GET /models` lists; by default the task's own.",
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]


def with_example(example: JsonDict) -> ConfigDict:
    """Return the configuration of a schema with an example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class PredictionRequest(BaseModel):
    """What all requests for predictions have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName = None

    @model_validator(mode="before")
    @classmethod
    def _has_not_very_many_fields(cls, value: object) -> object:
        """Refuse at once what would take an error for each of a million fields."""
        if isinstance(value, dict) and len(value) > MOST_FIELDS:
            known = " and ".join(cls.model_fields)
            raise PydanticCustomError("too_many_fields", f"the body has {len(value)} fields; send {known}")
        return value


@dataclass(frozen=True)
class Encoded:
    """One input as a row of its network; `facts` is what the answer says about the input."""

    row: Row
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Form:
    """One way to ask a task: with one input, or with several.

    Attributes:
        path: of the URL.
        field: of the request, with the input or the list of inputs.
        request: schema of the body.
        answer: schema of the answer.
        summary: for the documentation, as the following ones.
        description: in a sentence.
        problem: an example of what can be wrong with a request.
    """

    path: str
    field: str
    request: type[PredictionRequest]
    answer: type[BaseModel]
    summary: str
    description: str
    problem: FieldProblem


class ServedTask(ABC):
    """A task as the service answers it. Its models are asked in two forms: one input, or several."""

    task: ClassVar[Task]
    single: ClassVar[Form]
    batch: ClassVar[Form]

    @abstractmethod
    def encode(self, model: Model, text: str) -> Encoded:
        """Return one input as a row.

        Raises:
            InputError: it cannot be encoded.
        """

    @abstractmethod
    def answer(self, manifest: Manifest, output: Output, encoded: Encoded, request: Any) -> BaseModel:
        """Return the answer to one input, from the output of its row, float32 [outputs]."""

    async def predict(
        self, model: Model, texts: Mapping[Location, str], request: PredictionRequest, permit: Permit
    ) -> list[BaseModel]:
        """Return the answers to the inputs of a request, each given under its place in the body.

        Raises:
            InvalidInputError: inputs that cannot be encoded, all of them named.
            DeadlineError: the deadline passed before.
        """
        encoded = await self._encode(model, texts, permit.deadline)
        outputs = await model.batcher.run([one.row for one in encoded], permit)
        manifest = model.manifest
        return [self.answer(manifest, output, one, request) for output, one in zip(outputs, encoded, strict=True)]

    async def _encode(self, model: Model, texts: Mapping[Location, str], deadline: float) -> Sequence[Encoded]:
        """Encode all texts in slices; the event loop answers others in between, and one large request at a time."""
        encoded: list[Encoded] = []
        problems: list[FieldProblem] = []
        left = iter(texts.items())

        def encode_slice() -> bool:
            """Return whether all texts are encoded."""
            end = time.monotonic() + SLICE_SECONDS
            for location, text in left:
                try:
                    encoded.append(self.encode(model, text))
                except InputError as error:
                    wrong = error.character or None
                    problems.append(FieldProblem(type=error.kind, loc=list(location), msg=str(error), input=wrong))
                if time.monotonic() > end:
                    return False
            return True

        if not encode_slice():
            try:
                async with asyncio.timeout(deadline - time.monotonic()), model.encoding:
                    while not encode_slice():
                        for _ in range(PASSES):
                            await asyncio.sleep(0)
            except TimeoutError as error:
                raise DeadlineError(TOO_LATE) from error
        if problems:
            raise InvalidInputError(problems)
        return encoded


def round_probability(probability: np.float32) -> float:
    """Return the shortest decimal that is this float32: more digits would be noise."""
    return float(str(probability))
