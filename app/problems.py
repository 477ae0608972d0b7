"""The one place where errors become HTTP: RFC 9457 problem documents."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.errors import InvalidInputError, MethodNotAllowedError, NotFoundError, RequestError
from app.schemas import Answer, FieldProblem, Problem

PROBLEM_TYPE = "application/problem+json"
LISTED_ERRORS = 10  # of one request: a body of a few megabytes can hold hundreds of thousands


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
