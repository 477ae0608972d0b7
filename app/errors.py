"""Every error of the service. A message says what came, what was expected and what to do.

Imports nothing that takes long: the process that only starts others needs the settings, and these their error.
"""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from app.schemas import FieldProblem

INTERNAL_ERROR = "the service failed on this request; its log has the reason under the answer's x-request-id"
TOO_LATE = "the deadline passed before the answer was there; try again later or allow it more time"

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

    def __init__(self, detail: str, errors: "Sequence[FieldProblem]" = ()) -> None:
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
    """The service has no model to answer with, or it is ending."""

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
