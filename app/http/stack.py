"""The middleware around all routes: request ids, log lines, keys, limits, and answers to errors."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from json import JSONDecodeError
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    ENDING,
    INTERNAL_ERROR,
    AccessError,
    BadRequestError,
    ClientLeftError,
    InternalError,
    InvalidInputError,
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    RequestError,
)
from app.http.access import METRICS, PROBES, Access
from app.http.body import make_json_error
from app.http.codings import compress_answer
from app.http.cors import Cors, is_preflight
from app.http.limits import MOST_LARGE_BODIES, Budget, Limits
from app.http.problems import Answer, cut_path, describe, make_answer
from app.http.spans import end_span
from app.settings import Settings
from app.telemetry.logs import begin_request, make_request_id
from app.telemetry.metrics import DEPARTURES, REFUSALS, REQUESTS
from app.telemetry.traces import begin_parts

if TYPE_CHECKING:
    from app.telemetry.otlp import Tracer

# Load balancers and Prometheus request these every few seconds, so successes are logged at DEBUG.
QUIET = PROBES | {METRICS}
# In metrics, the route of all paths that the service does not have.
NO_ROUTE = "none"

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, level 1

_NOT_PARSED = "There was an error parsing the body"  # FastAPI's detail, with the error of the parser as its cause
# Of these headers a request may have several lines, but only with one value: others would be understood in two ways.
_SINGLE = (b"content-encoding", b"inference-header-content-length")
_STATUSES = {int(status) for status in HTTPStatus}

logger = logging.getLogger(__name__)


class Stack:
    """Gives each request its limits, an id and a log line, checks its key, and answers the errors of an app."""

    def __init__(self, app: ASGIApp, settings: Settings, access: Access, tracer: "Tracer | None" = None) -> None:
        """Wrap an app; without a tracer no request is traced."""
        self._app = app
        self._access = access
        self._tracer = tracer
        self._cors = Cors(app, settings.cors_origins) if settings.cors_origins else None
        self._settings = settings
        self._budget = Budget(MOST_LARGE_BODIES * settings.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = Limits(scope, receive, self._settings, self._budget)
        request_id = limits.headers.get(b"x-request-id", b"")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = make_request_id().encode()
        fields: dict[str, object] = {"request_id": request_id.decode()}
        span = self._tracer.begin(scope["headers"], limits.started) if self._tracer else None
        if span:
            fields |= span.ids
            begin_parts(span.parts)
        elif parent := _TRACE_PARENT.fullmatch(limits.headers.get(b"traceparent", b"")):
            fields["trace_id"] = parent[1].decode()
        begin_request(fields)
        if self._cors:
            send = self._cors.add_headers(scope, send)
        status: int | None = None
        has_end = True

        async def send_with_id(message: Message) -> None:
            nonlocal status, has_end
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
                if caller := scope["state"].get("caller"):
                    message["headers"].extend(caller.fields)
                if limits.may_stay_incomplete:
                    message["headers"].append((b"connection", b"close"))
            elif not limits.is_complete and not message.get("more_body", False):
                has_end = False  # the end would close the connection, and the client may still send
                message["more_body"] = True
            await send(message)

        try:
            accepted = limits.headers.get(b"accept-encoding")
            await self._answer(scope, limits, compress_answer(send_with_id, accepted) if accepted else send_with_id)
        except (ClientLeftError, ClientDisconnect):
            pass  # nobody reads an answer
        except asyncio.CancelledError:  # the server shuts down and its grace period is over
            if status is not None:
                raise
            error = NotReadyError(ENDING)
            error.headers = {**error.headers, "connection": "close"}
            await make_answer(error, cut_path(scope)).send(send_with_id)
        except Exception:
            logger.exception("unexpected error")
            if status is not None:
                raise  # the answer has begun, so only the server can abort it
            await make_answer(InternalError(INTERNAL_ERROR), cut_path(scope)).send(send_with_id)
        finally:
            limits.give_back()
            _count(scope, status, limits.started, fields)
            if span:
                end_span(span, scope, status, fields)
            _log(scope, status, limits.started)
        if not has_end:
            with suppress(asyncio.CancelledError):  # the client has its answer
                await limits.drop_rest()
            await send({"type": "http.response.body"})

    async def _answer(self, scope: Scope, limits: Limits, send: Send) -> None:
        """Answer one request, also if the app raises an error that has an answer."""
        try:
            if scope["http_version"] not in ("1.0", "1.1"):
                raise BadRequestError(f"the request has HTTP/{scope['http_version']}; send HTTP/1.1")
            hosts = sum(name == b"host" for name, _ in scope["headers"])
            if hosts > 1 or (not hosts and scope["http_version"] == "1.1"):
                raise BadRequestError(f"the request has {hosts} Host headers; send one")
            if len(limits.headers) < len(scope["headers"]):
                _check_repeated(scope)
            if self._cors and is_preflight(scope, limits.headers):
                await self._cors.answer_preflight(scope, limits.receive, send)
                return
            self._access.check(scope, limits.headers)
            limits.apply()
            # Every path with GET has HEAD; the server leaves out the body.
            scope_of_app = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            try:
                await self._app(scope_of_app, limits.receive, send)
            finally:
                scope["route"] = scope_of_app.get("route")
        except Exception as raised:
            # No local variable may refer to the error. The error refers to this frame, and in such a cycle the body of
            # the request stays in memory until the garbage collector runs.
            answer = _find_answer(raised, scope)
            if answer is None:
                raise
            if isinstance(raised, AccessError | OverloadedError):
                caller = scope["state"].get("caller")
                REFUSALS.labels(raised.kind, caller.name if caller else "").add()
            await answer.send(send)


def _check_repeated(scope: Scope) -> None:
    """Return if no header comes twice with different values, of those for which that has two meanings.

    Raises:
        BadRequestError: one does.
    """
    for name in _SINGLE:
        values = {value.strip().lower() for each, value in scope["headers"] if each == name}
        if len(values) > 1:
            raise BadRequestError(f"the request has {len(values)} different {name.decode()} headers; send one")


def _find_answer(raised: Exception, scope: Scope) -> Answer | None:
    """Return the answer to an error; None for an unexpected error."""
    path = cut_path(scope)
    match raised:
        case RequestError():
            return make_answer(raised, path)
        case RequestValidationError(__cause__=JSONDecodeError() as cause):
            return make_answer(make_json_error(cause), path)
        case RequestValidationError():
            return make_answer(InvalidInputError(describe(raised.errors()), len(raised.errors())), path)
        case HTTPException(__cause__=RequestError() as cause):  # FastAPI hides what reading a body raised
            return make_answer(cause, path)
        case HTTPException(detail=_NOT_PARSED, __cause__=ValueError() | RecursionError() as cause):
            return make_answer(make_json_error(cause), path)
        case HTTPException(status_code=HTTPStatus.NOT_FOUND, detail=HTTPStatus.NOT_FOUND.phrase):  # of the router
            return make_answer(NotFoundError(f"there is no {path}; /docs shows what there is"), path)
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            methods = _list_methods(scope)
            allowed = ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
            if scope["method"] == "OPTIONS":
                return Answer(HTTPStatus.NO_CONTENT, [(b"allow", allowed.encode())], b"")
            error = MethodNotAllowedError(f"{path} does not answer {scope['method']}; /docs shows what it does")
            error.headers = {"allow": allowed}
            return make_answer(error, path)
        case HTTPException() if raised.status_code in _STATUSES:  # of a dependency, such as a missing key
            other = RequestError(str(raised.detail))
            other.status = HTTPStatus(raised.status_code)
            other.kind = other.status.phrase.lower().replace(" ", "-")
            other.headers = dict(raised.headers or {})
            return make_answer(other, path)
    return None


def _list_methods(scope: Scope) -> set[str]:
    """Return the methods of all routes that have the path of a request."""
    routes = scope["app"].routes if "app" in scope else ()  # the app puts itself there
    return {method for route in routes if route.matches(scope)[0] is not Match.NONE for method in route.methods}


def _find_route(scope: Scope) -> object:
    """Return the route of a request that was answered before the app looked for one; None if there is none."""
    asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
    found = [route.matches(asked) for route in (scope["app"].routes if "app" in scope else ())]
    # As the app does: a route with the method of the request comes before others.
    for wanted in (Match.FULL, Match.PARTIAL):
        for match, child in found:
            if match is wanted:
                return child.get("route")
    return None


def _is_quiet(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) in QUIET


def _count(scope: Scope, status: int | None, started: float, fields: Mapping[str, object]) -> None:
    """Count a request; `fields` are those of its log lines."""
    if "route" not in scope:
        scope["route"] = _find_route(scope)
    route = getattr(scope["route"], "path", NO_ROUTE)
    if status is None:
        DEPARTURES.labels(route).add()
    else:
        child = REQUESTS.find(route, fields.get("model", ""), fields.get("version", ""), status)
        child.note(time.monotonic() - started)


def _log(scope: Scope, status: int | None, started: float) -> None:
    """Write the line of a request, with the status of its answer if there was one."""
    level = logging.DEBUG if status == HTTPStatus.OK and _is_quiet(scope) else logging.INFO
    if logger.isEnabledFor(level):
        client = scope.get("client")
        logger.log(
            level,
            "answered" if status else "the client left before an answer",
            extra={
                "method": scope["method"],
                "path": cut_path(scope),
                "status": status,
                "milliseconds": round(1000 * (time.monotonic() - started), 3),
                "client": client[0] if client else None,
            },
        )
