"""The OpenAPI document: what FastAPI finds in the routes, and what holds for all of them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.errors import (
    ENDING,
    INTERNAL_ERROR,
    BodyTimeoutError,
    BodyTooLargeError,
    InternalError,
    NotReadyError,
    UnsupportedCodingError,
)
from app.http.access import Access
from app.http.problems import Problem
from app.http.routes import add_errors
from app.http.security import describe_access
from app.settings import Settings
from app.tasks import SERVED
from app.tasks.explanation import ExplanationRequest

_REQUEST_ID = {"description": "The id of the request, also in the log.", "schema": {"type": "string"}}
_EXAMPLES = {"name": "sentiment", "version": 1, "label": "stable"}  # of the parameters of paths


def describe_service(app: FastAPI, settings: Settings, access: Access) -> dict[str, Any]:
    """Return the OpenAPI document of an app."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        routes=app.routes,
    )
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= schema.pop("$defs") | {"Problem": schema}
    _add_limits(document["components"]["schemas"], settings)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_common_errors(operation, path.format(**_EXAMPLES))
    describe_access(document, access)
    for operation in (operation for operations in document["paths"].values() for operation in operations.values()):
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for response in operation["responses"].values():
            response.setdefault("headers", {})["x-request-id"] = _REQUEST_ID
    return document


def _add_limits(schemas: dict[str, Any], settings: Settings) -> None:
    """Add the limits of the settings to the schemas of predictions."""
    for served in SERVED.values():
        schemas[served.single.request.__name__]["properties"][served.single.field]["maxLength"] = (
            settings.max_text_characters
        )
        texts = schemas[served.batch.request.__name__]["properties"][served.batch.field]
        texts["maxItems"] = settings.max_batch
        texts["items"]["maxLength"] = settings.max_text_characters
        schemas[served.batch.answer.__name__]["properties"]["answers"]["maxItems"] = settings.max_batch
    explanation = schemas[ExplanationRequest.__name__]["properties"]
    explanation["text"]["maxLength"] = settings.max_text_characters
    explanation["budget"]["anyOf"][0]["maximum"] = settings.max_explanation


def _add_common_errors(operation: dict[str, Any], path: str) -> None:
    """Add the errors that every operation may end with, and those of every body."""
    responses = operation["responses"]
    add_errors(responses, path, InternalError(INTERNAL_ERROR), NotReadyError(ENDING))
    if "requestBody" in operation:
        add_errors(
            responses,
            path,
            BodyTimeoutError("the whole body did not arrive within 5 s; send it faster"),
            BodyTooLargeError("the body has 5242880 bytes, the limit is 4194304; send it in parts"),
            UnsupportedCodingError("the content-encoding is 'br'; send the body with gzip, deflate or none"),
        )
