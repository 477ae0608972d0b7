"""Makes problem documents (RFC 9457) from errors. It does not import FastAPI, which takes long."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Scope, Send

from app.errors import LISTED_ERRORS, FieldProblem, RequestError, escape_surrogates
from app.telemetry.metrics import PROBLEMS
from bundle.errors import phrase

PROBLEM_TYPE = "application/problem+json"
PATH_CHARACTERS = 200  # of a path, in answers and in the log


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str | None = Field(default=None, description="The detail again, where the Open Inference Protocol has it.")
    errors: list[FieldProblem] | None = None
    violated_policies: list[str] | None = Field(
        default=None, alias="violated-policies", description="Names of the policies in `RateLimit-Policy`."
    )


class Answer(NamedTuple):
    """A complete answer; the names of its headers are in lower case."""

    status: HTTPStatus
    headers: list[tuple[bytes, bytes]]
    content: bytes

    @classmethod
    def of_json(cls, status: HTTPStatus, media_type: str, content: str, **headers: str) -> Self:
        """Return an answer with JSON and further headers."""
        return cls.of_bytes(status, media_type, content.encode(), **headers)

    @classmethod
    def of_bytes(cls, status: HTTPStatus, media_type: str, content: bytes, **headers: str) -> Self:
        """Return an answer with content of any media type and further headers."""
        described = {"content-type": media_type, "content-length": str(len(content)), **headers}
        return cls(status, [(name.encode(), value.encode()) for name, value in described.items()], content)

    async def send(self, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.content})


def cut_path(scope: Scope) -> str:
    """Return the path of a request for answers and the log: shortened, and valid in JSON."""
    path: str = scope["path"]
    shown = path if len(path) <= PATH_CHARACTERS else f"{path[:PATH_CHARACTERS]}..."
    return escape_surrogates(shown)


def make_problem(error: RequestError, path: str) -> Problem:
    """Return the problem document of an error on a path."""
    return Problem(
        type=error.type,
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=path,
        # Clients of the Open Inference Protocol read this member. A proxy may have a prefix before the path.
        error=error.detail if "/v2/" in f"{path}/" else None,
        errors=list(error.errors) or None,
        **{"violated-policies": list(error.violated_policies) or None},
    )


def make_answer(error: RequestError, path: str) -> Answer:
    """Return the answer to a request to a path that ended with an error, and count it."""
    PROBLEMS.labels(error.kind).add()
    content = make_problem(error, path).model_dump_json(exclude_none=True)
    return Answer.of_json(error.status, PROBLEM_TYPE, content, **error.headers)


def describe(errors: Sequence[Any], *within: str) -> list[FieldProblem]:
    """Return the first validation errors of pydantic as field problems.

    Their places begin with `within`. Texts and numbers are repeated, lists and objects are not.
    """
    problems = []
    for error in errors[:LISTED_ERRORS]:
        echo = error["input"] if isinstance(error["input"], (str, int, float)) else None
        problems.append(FieldProblem(type=error["type"], loc=[*within, *error["loc"]], msg=phrase(error), input=echo))
    return problems
