"""Every error of the service, and the one place where errors become HTTP: RFC 9457 problem documents.

A message says what came, what was expected and what to do.
"""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.schemas import Answer, FieldProblem, Problem

PROBLEM_TYPE = "application/problem+json"
INTERNAL_ERROR = "the service failed on this request; its log has the reason under the answer's x-request-id"
TOO_LATE = "the deadline passed before the answer was there; try again later or allow it more time"
LISTED_ERRORS = 10  # of one request: a body of a few megabytes can hold hundreds of thousands

Location = tuple[str | int, ...]


class ServiceError(Exception):
    """Root of the errors of this package."""


class SettingsError(ServiceError):
    """The environment has settings the service cannot run with."""


class EngineError(ServiceError):
    """The network of a bundle cannot be run by what is installed."""


class RequestError(ServiceError):
    """Root of what a client is told; each kind has its HTTP status and its problem type."""

    status: ClassVar[HTTPStatus]
    kind: ClassVar[str]
    headers: dict[str, str] = {}

    def __init__(self, detail: str, errors: Sequence[FieldProblem] = ()) -> None:
        """Take what to tell the client, and the fields it is about if it is about fields."""
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)


class NotFoundError(RequestError):
    """There is nothing under this path."""

    status = HTTPStatus.NOT_FOUND
    kind = "not-found"


class MethodNotAllowedError(RequestError):
    """The path does not answer this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    kind = "method-not-allowed"


class InternalError(RequestError):
    """The service failed; the reason is in its log, not in the answer."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "internal-error"


class InvalidInputError(RequestError):
    """Fields of the request cannot be answered."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "invalid-input"


class UnsupportedMediaTypeError(RequestError):
    """The body is not said to be JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    kind = "unsupported-media-type"


class BodyTimeoutError(RequestError):
    """The body was not all there in the time that the request has."""

    status = HTTPStatus.REQUEST_TIMEOUT
    kind = "body-timeout"


class BodyTooLargeError(RequestError):
    """The body is larger than the service takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    kind = "body-too-large"


class ModelNotFoundError(RequestError):
    """No model of this name answers this task."""

    status = HTTPStatus.NOT_FOUND
    kind = "model-not-found"


class NotReadyError(RequestError):
    """There is no model to answer with."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "not-ready"
    headers = {"retry-after": "1"}


class OverloadedError(RequestError):
    """More is waiting than the service can answer in time."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "overloaded"

    def __init__(self, detail: str, seconds: float) -> None:
        """Take what to tell the client, and how long what is waiting takes."""
        after = max(1, math.ceil(seconds))
        super().__init__(f"{detail}; try again in {after} s")
        self.headers = {"retry-after": str(after)}


class DeadlineError(RequestError):
    """The deadline passed before the answer was there."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    kind = "deadline"


class ClientLeftError(ServiceError):
    """The client has closed the connection, so that there is nobody to answer."""


class ModelRefusedError(RequestError):
    """The bundle is there, but is not one that can be served."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "model-refused"


def invalid_input(problems: list[FieldProblem]) -> InvalidInputError:
    """Return the error that tells all of these problems."""
    return InvalidInputError(
        "; ".join(f"{'.'.join(map(str, problem.loc))}: {problem.msg}" for problem in problems), problems
    )


def install_handlers(app: FastAPI) -> None:
    """Turn the errors of FastAPI itself into those of this package, which `RequestLog` answers."""
    app.add_exception_handler(RequestValidationError, _raise_invalid_input)
    app.add_exception_handler(HTTPException, _raise_http_error)


def make_problem(error: RequestError, path: str) -> Problem:
    """Return the problem document of an error on a path."""
    return Problem(
        # A tag URI (RFC 4151), as it names the kind and does not point anywhere.
        type=f"tag:lstm-serve,2026:{error.kind}",
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        instance=path,
        errors=error.errors or None,
    )


def make_answer(error: RequestError, path: str) -> Answer:
    """Return the answer to a request to a path that ended with an error."""
    content = make_problem(error, path).model_dump_json(exclude_none=True)
    return Answer.of_json(error.status, PROBLEM_TYPE, content, error.headers)


async def _raise_invalid_input(_: Request, error: Exception) -> NoReturn:
    assert isinstance(error, RequestValidationError)
    raise invalid_input(describe(error.errors()))


async def _raise_http_error(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        raise NotFoundError(f"there is no {path}; /docs shows what there is")
    assert error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    refusal = MethodNotAllowedError(f"{path} does not answer {request.method}; /docs shows what it does")
    refusal.headers = dict(error.headers or {})
    raise refusal


def describe(errors: Sequence[Any], *within: str) -> list[FieldProblem]:
    """Return validation errors of pydantic as they are sent, their places within a part of the request.

    Texts and numbers are echoed, lists and objects are not. Of many errors the first are told.
    """
    problems = []
    for error in errors[:LISTED_ERRORS]:
        echo = error["input"] if isinstance(error["input"], (str, int, float)) else None
        problems.append(FieldProblem(type=error["type"], loc=[*within, *error["loc"]], msg=error["msg"], input=echo))
    if more := len(errors) - len(problems):
        problems.append(FieldProblem(type="more", loc=["body"], msg=f"{more} more errors are not listed"))
    return problems
