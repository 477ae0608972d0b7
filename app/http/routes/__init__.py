"""The paths, without logic, and what they share."""

from typing import Annotated, Any

from fastapi import Depends, Request

from app.errors import RequestError
from app.http.problems import PROBLEM_TYPE, make_problem
from app.runtime.repository import Repository

_HEADERS = {
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "How to send a key.", "schema": {"type": "string"}},
    "Accept-Encoding": {"description": "The codings that the service knows.", "schema": {"type": "string"}},
}

_SCHEMA = {"$ref": "#/components/schemas/Problem"}

Responses = dict[int | str, dict[str, Any]]


# Asynchronous, though it waits for nothing: FastAPI runs other functions in threads.
async def _get_repository(request: Request) -> Repository:
    repository: Repository = request.app.state.repository
    return repository


RepositoryDependency = Annotated[Repository, Depends(_get_repository)]


def describe_errors(path: str, *errors: RequestError) -> Responses:
    """Return the OpenAPI responses of a path that ends with one of these errors."""
    responses: Responses = {}
    add_errors(responses, path, *errors)
    return responses


def add_errors(responses: Responses, path: str, *errors: RequestError) -> None:
    """Add errors to the OpenAPI responses of a path; an example that is there already stays."""
    for error in errors:
        described = {"description": "", "headers": {}, "content": {PROBLEM_TYPE: {"schema": _SCHEMA, "examples": {}}}}
        response = responses.setdefault(str(int(error.status)), described)
        meaning = type(error).__doc__ or ""
        if meaning not in response["description"]:
            response["description"] = f"{response['description']} {meaning}".strip()
        sent = {name: header for name, header in _HEADERS.items() if name.lower() in error.headers}
        response.setdefault("headers", {}).update(sent)
        example = {"value": make_problem(error, path).model_dump(exclude_none=True)}
        response["content"][PROBLEM_TYPE]["examples"].setdefault(error.kind, example)
