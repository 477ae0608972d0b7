"""A task of the service: the schemas of requests and answers, from texts to rows, and from outputs to answers."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from app.errors import TOO_LATE, DeadlineError, FieldProblem, InvalidInputError, Location
from app.runtime.queue import Output, Permit
from app.runtime.versions import Model
from app.tasks.outputs import Arrays, TensorType, arrange
from app.telemetry.traces import find_parts
from bundle.errors import InputError
from bundle.manifest import Manifest
from bundle.reference import find_probability
from bundle.rows import Row
from bundle.store import Bundle
from bundle.tasks import Task

NAME_CHARACTERS = 63
VERSION_PATTERN = "^([1-9][0-9]{0,14}|[a-z][a-z0-9-]{0,62})$"  # of a number or a label
# Encoding texts pauses after this time, ...
SLICE_SECONDS = 0.001
# ... for this many passes of the event loop, so that small requests are answered in between. Such a request needs about
# ten passes, from its first byte to its answer. A pass without work takes microseconds.
PASSES = 16


def expect(what: str) -> WrapValidator:
    """Return a validator with one message about a value of several types; pydantic has one for each type."""

    def check(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError as error:
            raise PydanticCustomError("value", "Input should be {what}", {"what": what}) from error

    return WrapValidator(check)


ModelName = Annotated[
    str | None,
    Field(
        max_length=NAME_CHARACTERS,
        description="A model of this task that `GET /models` lists; by default the default model of the task.",
    ),
]
Version = Annotated[
    Annotated[int, Field(strict=True, ge=1)] | Annotated[str, Field(max_length=NAME_CHARACTERS)] | None,
    expect(f"a version's number from 1, or a label of at most {NAME_CHARACTERS} characters"),
    Field(
        description="A loaded version of the model, as a number or as a text with its digits, or a label that a "
        "version has; by default the stable version, or without such a label the newest one."
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]


def with_example(example: JsonDict) -> ConfigDict:
    """Return the configuration of a schema with an example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class PredictionRequest(BaseModel):
    """The fields of all requests for predictions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName = None
    version: Version = None


@dataclass(frozen=True)
class Encoded:
    """One input as a row of the network.

    Attributes:
        row: of the network.
        facts: fields of the answer that describe the input.
        length: words or letters of the input, also those that the network does not read.
        unknown_share: of the words that it reads, the share of those that it does not know; None without words.
        is_cut: whether the input is longer than the network reads.
        is_readable: whether the row has anything that the network knows.
    """

    row: Row
    facts: Mapping[str, Any]
    length: int
    unknown_share: float | None = None
    is_cut: bool = False
    is_readable: bool = True


@dataclass(frozen=True)
class Column(TensorType):
    """A tensor that holds the inputs of a task.

    Attributes:
        encode: returns the row of one input, which is a text, or the numbers of one row of the tensor.
    """

    encode: Callable[[Bundle, Any], Encoded]


@dataclass(frozen=True)
class Form:
    """One path of a task: for one input, or for a batch.

    Attributes:
        path: of the URL.
        field: of the request, with the input or the list of inputs.
        request: schema of the body.
        answer: schema of the answer, or a union of several.
        summary: for the documentation, as the following ones.
        description: in a sentence.
        problem: an example of what can be wrong with a request.
    """

    path: str
    field: str
    request: type[PredictionRequest]
    answer: Any
    summary: str
    description: str
    problem: FieldProblem


class ServedTask(ABC):
    """A task as the service offers it, in two forms: for one input, or for a batch."""

    task: ClassVar[Task]
    single: ClassVar[Form]
    batch: ClassVar[Form]
    further_columns: ClassVar[tuple[Column, ...]] = ()

    @abstractmethod
    def encode(self, bundle: Bundle, text: str) -> Encoded:
        """Return one input as a row.

        Raises:
            InputError: it cannot be encoded.
        """

    @abstractmethod
    def answer(self, manifest: Manifest, output: Output, encoded: Encoded, request: Any) -> BaseModel:
        """Return the answer to one input, from the output of its row, float32 [outputs]."""

    @abstractmethod
    def label(self, answer: Any) -> str | None:
        """Return the label in the answer to one input, by which versions are compared; None if it has none."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The tensors that may hold the inputs; a request has one of them. The first one holds texts."""
        return (Column(self.single.field, "BYTES", (-1,), self.encode), *self.further_columns)

    async def infer(self, model: Model, column: Column, inputs: Mapping[Location, Any], permit: Permit) -> Arrays:
        """Return the outputs for the inputs of a column, which come with their places in the body: see `arrange`.

        Raises:
            InvalidInputError, DeadlineError: see `predict`.
        """
        encoded, outputs = await self.run(model, inputs, column.encode, permit)
        return arrange(model.manifest.labels, outputs, [one.is_readable for one in encoded])

    async def predict(
        self, model: Model, texts: Mapping[Location, str], request: PredictionRequest, permit: Permit
    ) -> list[BaseModel]:
        """Return the answers to the inputs of a request, which come with their places in the body.

        Raises:
            InvalidInputError: inputs that cannot be encoded, all of them named.
            DeadlineError: the deadline passed before.
        """
        encoded, outputs = await self.run(model, texts, self.encode, permit)
        manifest = model.manifest
        return [self.answer(manifest, output, one, request) for output, one in zip(outputs, encoded, strict=True)]

    async def run(
        self, model: Model, inputs: Mapping[Location, Any], encode: Callable[[Bundle, Any], Encoded], permit: Permit
    ) -> tuple[Sequence[Encoded], Sequence[Output]]:
        """Return the rows of the inputs, and the outputs of the network for them.

        Raises:
            InvalidInputError, DeadlineError: see `predict`.
        """
        metrics = model.batcher.metrics
        started = time.monotonic()
        try:
            encoded = await self._encode(model, inputs, encode, permit.deadline)
        finally:
            ended = time.monotonic()
            if parts := find_parts():
                parts.note("encode", started, ended)
        metrics.encoding.note(ended - started)
        outputs = await model.batcher.run([one.row for one in encoded], permit)
        for output, one in zip(outputs, encoded, strict=True):
            metrics.note_answer(_measure(output, one), is_cut=one.is_cut, is_readable=one.is_readable)
        return encoded, outputs

    async def _encode(
        self, model: Model, inputs: Mapping[Location, Any], encode: Callable[[Bundle, Any], Encoded], deadline: float
    ) -> Sequence[Encoded]:
        """Encode all inputs in slices, between which the event loop answers others; one large request at a time."""
        encoded: list[Encoded] = []
        problems: list[FieldProblem] = []
        left = iter(inputs.items())

        def encode_slice() -> bool:
            """Return whether all inputs are encoded."""
            end = time.monotonic() + SLICE_SECONDS
            for location, one in left:
                try:
                    encoded.append(encode(model.bundle, one))
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
                model.batcher.metrics.note_deadline("encoding")
                raise DeadlineError(TOO_LATE) from error
        if problems:
            raise InvalidInputError(problems)
        return encoded


def _measure(output: Output, encoded: Encoded) -> dict[str, float]:
    """Return the measures of one input: see `bundle.reference.BOUNDS`."""
    measures: dict[str, float] = {"length": encoded.length}
    if encoded.unknown_share is not None:
        measures["unknown_share"] = encoded.unknown_share
    if encoded.is_readable:
        measures["probability"] = find_probability(output)
    return measures


def round_probability(probability: np.float32) -> float:
    """Return the shortest decimal of a float32; more digits would be noise."""
    return float(str(probability))
