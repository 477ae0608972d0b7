"""What goes in and out over HTTP."""

import math
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, JsonValue, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError
from starlette.types import Send

from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Dataset, Preprocessing, Task

NAME_CHARACTERS = 63
MOST_FIELDS = 100  # of a body; those that are unknown are named up to this number
ECHO_CHARACTERS = 80  # of a wrong value, in the answer

ModelName = Annotated[
    str | None,
    Field(
        max_length=NAME_CHARACTERS,
        description="A model of this task that `GET /models` lists; by default the task's own.",
    ),
]
TopK = Annotated[int, Field(strict=True, ge=1, le=len(ALPHABET), description="How many letters to rank.")]
Sequence = Annotated[str, Field(description="Letters A-Z or a-z, at most as many as the model reads.")]
Text = Annotated[str, Field(description="An English film review, of any length up to the service's limit.")]
Probability = Annotated[float, Field(ge=0, le=1)]


_NEXT_LETTER: JsonDict = {
    "next_letter": "A",
    "probability": 0.9991,
    "top": [
        {"letter": "A", "probability": 0.9991},
        {"letter": "Z", "probability": 0.0007},
        {"letter": "B", "probability": 0.0002},
    ],
    "model": "next-letter",
    "version": 1,
}
_SENTIMENT: JsonDict = {
    "sentiment": "positive",
    "probability_positive": 0.9862,
    "words_used": 4,
    "words_cut": 0,
    "model": "sentiment",
    "version": 1,
}


def _with_example(example: JsonDict) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _has_not_very_many_fields(cls, value: object) -> object:
        """Refuse at once what would take an error for each of a million fields."""
        if isinstance(value, dict) and len(value) > MOST_FIELDS:
            known = " and ".join(cls.model_fields)
            raise PydanticCustomError("too_many_fields", f"the body has {len(value)} fields; send {known}")
        return value


class NextLetterRequest(_Request):
    """One sequence to continue."""

    model_config = _with_example({"sequence": "XYZ", "top_k": 3})

    sequence: Sequence
    top_k: TopK = 3
    model: ModelName = None


class NextLetterBatchRequest(_Request):
    """Several sequences to continue."""

    model_config = _with_example({"sequences": ["ABC", "xyz"], "top_k": 1})

    sequences: Annotated[list[Sequence], Field(min_length=1), FailFast()]
    top_k: TopK = 3
    model: ModelName = None


class SentimentRequest(_Request):
    """One review to judge."""

    model_config = _with_example({"text": "A tender, wonderful film."})

    text: Text
    model: ModelName = None


class SentimentBatchRequest(_Request):
    """Several reviews to judge."""

    model_config = _with_example({"texts": ["A tender, wonderful film.", "Two hours I will never get back."]})

    texts: Annotated[list[Text], Field(min_length=1), FailFast()]
    model: ModelName = None


class RankedLetter(BaseModel):
    """A letter and the probability that it comes next."""

    letter: str
    probability: Probability


class NextLetterAnswer(BaseModel):
    """The letter that comes next, and the likeliest `top_k`."""

    model_config = _with_example(_NEXT_LETTER)

    next_letter: str
    probability: Probability
    top: list[RankedLetter]
    model: str
    version: int


class NextLetterBatchAnswer(BaseModel):
    """The answers, in the order of the sequences."""

    model_config = _with_example({"answers": [_NEXT_LETTER]})

    answers: list[NextLetterAnswer]


class SentimentAnswer(BaseModel):
    """The judgement of one review, and how much of it the model read."""

    model_config = _with_example(_SENTIMENT)

    sentiment: Literal["negative", "positive"]
    probability_positive: Probability
    words_used: int = Field(description="Words the model read, unknown ones included; 0 for a text without words.")
    words_cut: int = Field(description="Words at the start of the text that it did not, as it reads no more at once.")
    model: str
    version: int


class SentimentBatchAnswer(BaseModel):
    """The answers, in the order of the texts."""

    model_config = _with_example({"answers": [_SENTIMENT]})

    answers: list[SentimentAnswer]


class ModelSummary(BaseModel):
    """A model and whether it answers."""

    name: str
    status: Literal["ready", "refused"]
    detail: str | None = Field(default=None, description="Why the model was refused.")
    task: Task | None = Field(default=None, description="Known once the model is ready.")
    version: int | None = None
    default: bool = Field(default=False, description="Whether it answers requests that name no model.")


class ModelList(BaseModel):
    """The models of this service."""

    model_config = _with_example(
        {
            "models": [
                {"name": "sentiment", "status": "ready", "task": "sentiment", "version": 1, "default": True},
                {"name": "my-sentiment", "status": "refused", "detail": "its manifest was edited"},
            ]
        }
    )

    models: list[ModelSummary]


class ModelDetails(BaseModel):
    """What the manifest of a model that is ready says."""

    model_config = _with_example(
        {
            "name": "next-letter",
            "task": "next-letter",
            "version": 1,
            "created": "2026-11-20T12:00:00Z",
            "labels": list(ALPHABET),
            "metrics": {"accuracy": 1.0, "loss": 0.0008},
            "preprocessing": LetterCodec(length=26, first_code=1).model_dump(),
            "recipe": {"name": "next-letter", "settings": {"units": 64, "seed": 7}},
            "dataset": {
                "name": "alphabet patterns (all)",
                "sha256": "ef71045161fb49d891f5405b5014ba994a092efc74cfac2b76f34d0409d5733c",
                "training_examples": 2366,
                "test_examples": 676,
            },
            "frameworks": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"},
        }
    )

    name: str
    task: Task
    version: int
    created: datetime
    labels: list[str]
    metrics: dict[str, float]
    preprocessing: Preprocessing
    recipe: dict[str, JsonValue]
    dataset: Dataset
    frameworks: dict[str, str]


class Status(BaseModel):
    """The answer of a health check that succeeds."""

    model_config = _with_example({"status": "ready"})

    status: Literal["alive", "ready"]


def _make_sendable(value: object) -> object:
    """Return what JSON in UTF-8 can carry of a value: neither lone surrogates nor NaN, and no text at length."""
    if isinstance(value, str):
        return value[:ECHO_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class FieldProblem(BaseModel):
    """What is wrong with one field, in the shape FastAPI gives validation errors; `input` is what came."""

    type: str
    loc: list[str | int]
    msg: str
    input: Annotated[str | int | float | bool | None, BeforeValidator(_make_sendable)] = None


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None


class Answer(NamedTuple):
    """A whole answer as it is sent; the names of its headers are in lower case."""

    status: HTTPStatus
    headers: list[tuple[bytes, bytes]]
    content: bytes

    @classmethod
    def of_json(cls, status: HTTPStatus, media_type: str, content: str, headers: Mapping[str, str]) -> Self:
        """Return one of JSON, with further headers."""
        encoded = content.encode()
        described = {"content-type": media_type, "content-length": str(len(encoded)), **headers}
        return cls(status, [(name.encode(), value.encode()) for name, value in described.items()], encoded)

    async def send(self, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.content})
