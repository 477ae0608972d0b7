"""Every error of the service. A message says what came, what was expected and what to do.

Each error has its HTTP status and its problem type; `app.http.problems` makes the answers.
"""

import math
import sys
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, BeforeValidator

INTERNAL_ERROR = "the service failed on this request; its log has the reason under the answer's x-request-id"
TEXT_TOO_LONG = "the text has {} characters, the limit is {}; shorten it"
TOO_LATE = "the deadline passed before the answer was there; try again later or allow it more time"
METRICS_MISSING = "the processes cannot read the files of their metrics: {}; give them a tmpfs with space at /dev/shm"
ENDING = "this process of the service is shutting down; send the request again in a moment"
CHALLENGE = 'Bearer realm="lstm-serve"'  # what to send instead of no key, or of a wrong one: RFC 6750
ECHO_CHARACTERS = 80  # of a wrong value, in an answer
LISTED_ERRORS = 10  # of one request: a large body can hold many

Location = tuple[str | int, ...]


def escape_surrogates(text: str) -> str:
    """Return a text that UTF-8 can encode: lone surrogates become their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _make_sendable(value: object) -> object:
    """Return a value that is valid in JSON: without lone surrogates and NaN, and not long.

    Of a longer number it has the first digits, as a text.
    """
    if isinstance(value, str):
        return escape_surrogates(value[:ECHO_CHARACTERS])
    if not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        return None
    digits = str(value)
    return value if len(digits) <= ECHO_CHARACTERS else digits[:ECHO_CHARACTERS]


class FieldProblem(BaseModel):
    """One invalid field, in the shape of FastAPI's validation errors; `input` is its value."""

    type: str
    loc: list[Annotated[str | int, BeforeValidator(_make_sendable)]]  # a key of the body may be as long as the body
    msg: str
    input: Annotated[str | int | float | bool | None, BeforeValidator(_make_sendable)] = None


class ServiceError(Exception):
    """Root of the errors of this package."""


class SettingsError(ServiceError):
    """The service cannot run with these settings."""


class KeyFileError(SettingsError):
    """The file of the API keys is missing, invalid, or cannot be changed as asked."""


class EngineError(ServiceError):
    """The network of a bundle cannot be run by what is installed."""


class PolicyError(ServiceError):
    """The policy of a model cannot be read or written."""


class ScoringError(ServiceError):
    """A file cannot be scored."""


class ReaderLeftError(ScoringError):
    """Whoever reads the output has ended."""


class ClientLeftError(ServiceError):
    """The client has closed the connection, so it needs no answer."""


class RequestError(ServiceError):
    """Root of the errors that a client gets."""

    status: HTTPStatus
    kind: str
    headers: dict[str, str] = {}
    errors: Sequence[FieldProblem] = ()
    violated_policies: Sequence[str] = ()  # of `RateLimit-Policy`

    @property
    def type(self) -> str:
        """The problem type: a tag URI (RFC 4151), a name that is no address."""
        return f"tag:lstm-serve,2026:{self.kind}"

    @property
    def title(self) -> str:
        """The title of the problem type."""
        return self.status.phrase

    @property
    def detail(self) -> str:
        """The message for the client."""
        return str(self)


class BadRequestError(RequestError):
    """The request is not valid HTTP."""

    status = HTTPStatus.BAD_REQUEST
    kind = "bad-request"


class AccessError(RequestError):
    """Root of the errors of a client that may not do this, or not now."""


class KeyMissingError(AccessError):
    """The request has no API key."""

    status = HTTPStatus.UNAUTHORIZED
    kind = "key-missing"
    headers = {"www-authenticate": CHALLENGE}


class KeyUnknownError(AccessError):
    """The API key is not valid, or not any more."""

    status = HTTPStatus.UNAUTHORIZED
    kind = "key-unknown"
    headers = {"www-authenticate": f'{CHALLENGE}, error="invalid_token"'}


class ScopeMissingError(AccessError):
    """The client of the API key may not do this."""

    status = HTTPStatus.FORBIDDEN
    kind = "scope-missing"
    headers = {"www-authenticate": f'{CHALLENGE}, error="insufficient_scope"'}


class ManagementClosedError(AccessError):
    """The service has no API keys, so nobody may change its models."""

    status = HTTPStatus.FORBIDDEN
    kind = "management-closed"


class NotFoundError(RequestError):
    """There is nothing under this path."""

    status = HTTPStatus.NOT_FOUND
    kind = "not-found"


class ModelNotFoundError(RequestError):
    """No model of this name and version answers this task."""

    status = HTTPStatus.NOT_FOUND
    kind = "model-not-found"


class MethodNotAllowedError(RequestError):
    """The path does not answer this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    kind = "method-not-allowed"


class ConflictError(RequestError):
    """The change does not fit the state of the models."""

    status = HTTPStatus.CONFLICT
    kind = "conflict"


class BodyTimeoutError(RequestError):
    """The whole body did not arrive in the time that the request has."""

    status = HTTPStatus.REQUEST_TIMEOUT
    kind = "body-timeout"
    headers = {"connection": "close"}


class BodyTooLargeError(RequestError):
    """The body is larger than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    kind = "body-too-large"
    headers = {"connection": "close"}


class UrlTooLongError(RequestError):
    """The request line is longer than the limit."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    kind = "url-too-long"


class UnsupportedMediaTypeError(RequestError):
    """Content-Type is not application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    kind = "unsupported-media-type"


class UnsupportedCodingError(RequestError):
    """The body is compressed in a way that the service cannot decompress."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    kind = "unsupported-coding"
    headers = {"accept-encoding": "gzip, deflate"}


class InvalidInputError(RequestError):
    """Fields of the request are invalid."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    kind = "invalid-input"

    def __init__(self, errors: Sequence[FieldProblem], count: int = 0) -> None:
        """Take the problems that were found, of which the first are listed, and their number if there are more."""
        listed = list(errors[:LISTED_ERRORS])
        if more := max(count, len(errors)) - len(listed):
            listed.append(FieldProblem(type="more", loc=["body"], msg=f"{more} more errors are not listed"))
        super().__init__("; ".join(f"{'.'.join(map(str, problem.loc))}: {problem.msg}" for problem in listed))
        self.errors = listed


class BatchOverQuotaError(AccessError):
    """The request has more texts than its client may send in a day, so it never succeeds as it is."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    kind = "batch-over-quota"


class QuotaExceededError(AccessError):
    """The client has used its requests or its texts."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    kind = "quota-exceeded"

    def __init__(self, detail: str, policy: str, seconds: float) -> None:
        """Take the reason, the name of the policy, and the seconds until the client may try again."""
        after = max(1, math.ceil(seconds))
        super().__init__(f"{detail}; try again in {after} s")
        self.headers = {"retry-after": str(after)}
        self.violated_policies = [policy]

    @property
    def type(self) -> str:
        """The problem type of the standard."""
        return f"https://iana.org/assignments/http-problem-types#{self.kind}"

    @property
    def title(self) -> str:
        """The title of the standard."""
        return "Request cannot be satisfied as assigned quota has been exceeded"


class HeadTooLargeError(RequestError):
    """The headers are larger than the limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    kind = "head-too-large"


class InternalError(RequestError):
    """The service failed; the reason is in its log, not in the answer."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "internal-error"


class NotReadyError(RequestError):
    """The service has no model to answer with, or it is shutting down."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "not-ready"
    headers = {"retry-after": "1"}


class MetricsMissingError(RequestError):
    """The processes cannot share their metrics now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "metrics-missing"
    headers = {"retry-after": "1"}


class ModelRefusedError(RequestError):
    """The bundle is there, but it cannot be served."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "model-refused"


class OverloadedError(RequestError):
    """The queue is full, or too long for the deadline of the request."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "overloaded"

    def __init__(self, detail: str, seconds: float) -> None:
        """Take the reason, and the seconds until the waiting requests are answered."""
        after = max(1, math.ceil(seconds))
        super().__init__(f"{detail}; try again in {after} s")
        self.headers = {"retry-after": str(after)}


class DeadlineError(RequestError):
    """The deadline passed before the answer was there."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    kind = "deadline"
