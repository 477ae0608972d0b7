"""Lets pages of other origins use the service in a browser (CORS), if the settings name some."""

from functools import partial
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import BadRequestError
from app.http.body import RawHeaders
from app.http.limits import DEADLINE_HEADER
from app.http.tensors import JSON_SIZE_HEADER

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SENT_HEADERS = (
    *("authorization", "x-api-key", "x-request-id", "traceparent", "tracestate"),
    *(DEADLINE_HEADER, JSON_SIZE_HEADER, "content-encoding"),
)
_READ_HEADERS = (
    *("x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate", "allow"),
    *(JSON_SIZE_HEADER, "content-encoding", "accept-encoding"),
)


class Cors(CORSMiddleware):
    """Starlette's middleware, in parts: all answers get its headers, also those to errors of the stack around an app.

    A browser sends no cookies, because keys are headers.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        """Take the origins."""
        super().__init__(app, origins, _METHODS, _SENT_HEADERS, expose_headers=_READ_HEADERS)

    def add_headers(self, scope: Scope, send: Send) -> Send:
        """Return a function that sends the answer to a request with the headers for its origin."""
        return partial(self.send, send=send, request_headers=Headers(scope=scope))

    async def answer_preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks before the request of a page; no key comes with it.

        Raises:
            BadRequestError: the origin, the method or a header is not allowed.
        """
        response = self.preflight_response(Headers(scope=scope))
        if response.status_code != HTTPStatus.OK:
            raise BadRequestError(f"{bytes(response.body).decode()}; the setting cors_origins has the allowed origins")
        await response(scope, receive, send)


def is_preflight(scope: Scope, headers: RawHeaders) -> bool:
    """Return whether a browser asks if a page may send a request."""
    return scope["method"] == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers
