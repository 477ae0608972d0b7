"""One router a resource, without logic; here is what they share."""

from typing import Annotated, Any

from fastapi import Depends, Request

from app.errors import (
    INTERNAL_ERROR,
    TOO_LATE,
    BodyTimeoutError,
    BodyTooLargeError,
    DeadlineError,
    InternalError,
    ModelNotFoundError,
    ModelRefusedError,
    OverloadedError,
    RequestError,
    UnsupportedMediaTypeError,
)
from app.problems import PROBLEM_TYPE, make_problem
from app.repository import Repository
from app.settings import Settings

Responses = dict[int | str, dict[str, Any]]


def get_repository(request: Request) -> Repository:
    """Return the models of the app that a request came to."""
    repository: Repository = request.app.state.repository
    return repository


def get_settings(request: Request) -> Settings:
    """Return the settings of the app that a request came to."""
    settings: Settings = request.app.state.settings
    return settings


# Asynchronous, though it waits for nothing: FastAPI runs other functions in threads.
async def _repository(request: Request) -> Repository:
    return get_repository(request)


RepositoryDependency = Annotated[Repository, Depends(_repository)]


def describe_errors(path: str, *errors: RequestError) -> Responses:
    """Return the OpenAPI responses of a path that ends with one of these errors."""
    responses: Responses = {}
    for error in errors:
        response = responses.setdefault(
            int(error.status),
            {
                "description": type(error).__doc__,
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        example = make_problem(error, path).model_dump(exclude_none=True)
        response["content"][PROBLEM_TYPE]["examples"][error.kind] = {"value": example}
    return responses


def describe_prediction_errors(path: str, *errors: RequestError) -> Responses:
    """Return the OpenAPI responses of a path that asks a model: these errors and those that all such paths have."""
    return describe_errors(
        path,
        ModelNotFoundError("there is no model 'sentimental'; there are: next-letter, sentiment"),
        BodyTimeoutError("the body was not all there after 5 s; send it faster"),
        BodyTooLargeError("the body has 5242880 bytes, the limit is 4194304; send it in parts"),
        UnsupportedMediaTypeError(
            "the content-type is 'text/plain'; send JSON with the header content-type: application/json"
        ),
        *errors,
        InternalError(INTERNAL_ERROR),
        ModelRefusedError("sentiment is refused: models/sentiment/6/model.onnx cannot be read; restore it"),
        OverloadedError("512 texts are waiting, and at most 512 may; 1 more have no place", 0.4),
        DeadlineError(TOO_LATE),
    )
