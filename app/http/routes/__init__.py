"""The paths, without logic, and what they share."""

from typing import Annotated, Any

from fastapi import Depends, Request

from app.errors import RequestError
from app.http.problems import PROBLEM_TYPE, make_problem
from app.runtime.repository import Repository

_RETRY_AFTER = {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}}

Responses = dict[int | str, dict[str, Any]]


# Asynchronous, though it waits for nothing: FastAPI runs other functions in threads.
async def _get_repository(request: Request) -> Repository:
    repository: Repository = request.app.state.repository
    return repository


RepositoryDependency = Annotated[Repository, Depends(_get_repository)]


def describe_errors(path: str, *errors: RequestError) -> Responses:
    """Return the OpenAPI responses of a path that ends with one of these errors."""
    responses: Responses = {}
    for error in errors:
        response = responses.setdefault(
            int(error.status),
            {
                "description": type(error).__doc__,
                "headers": {},
                "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        if "retry-after" in error.headers:
            response["headers"]["Retry-After"] = _RETRY_AFTER
        example = make_problem(error, path).model_dump(exclude_none=True)
        response["content"][PROBLEM_TYPE]["examples"][error.kind] = {"value": example}
    return responses
