"""What wraps every request: its id, its log line and its errors."""

import logging
import random
import time
from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import INTERNAL_ERROR, ClientLeftError, InternalError, RequestError
from app.logs import begin_request
from app.problems import make_answer

# Asked every few seconds by who watches the service: logged only when something is amiss, or with all details.
WATCHED_PATHS = frozenset({"/livez", "/readyz"})

logger = logging.getLogger(__name__)


class LoggedRequest:
    """A request with an id, which its answer and all its log lines carry, and a line of its own at the end."""

    def __init__(self, method: str, path: str) -> None:
        """Begin it."""
        request_id = f"{random.getrandbits(128):032x}"  # tells requests apart, and is no secret
        begin_request(request_id)
        self.header = (b"x-request-id", request_id.encode())
        self._method = method
        self._path = path
        self._started = time.perf_counter()

    def end(self, status: int | None) -> None:
        """Write its line, with the status of its answer if there was one."""
        is_routine = status == HTTPStatus.OK and self._path in WATCHED_PATHS
        level = logging.DEBUG if is_routine else logging.INFO
        if logger.isEnabledFor(level):
            logger.log(
                level,
                "answered" if status else "the client left before an answer",
                extra={
                    "method": self._method,
                    "path": self._path,
                    "status": status,
                    "milliseconds": round(1000 * (time.perf_counter() - self._started), 3),
                },
            )


class RequestLog:
    """Gives every request an id, which its answer carries, and a log line; answers those that end with an error."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = LoggedRequest(scope["method"], scope["path"])
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), request.header]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientLeftError:
            pass  # there is nobody to answer
        except RequestError as error:
            await make_answer(error, scope["path"]).send(send_with_id)
        except Exception:
            logger.exception("unexpected error")
            if status is not None:
                raise  # the answer has begun: only the server can break it off
            await make_answer(InternalError(INTERNAL_ERROR), scope["path"]).send(send_with_id)
        finally:
            request.end(status)


class Shortcut:
    """Leads requests of some methods and paths straight to who answers them, and all others through an app.

    The layers of FastAPI around its routes, and its search for the one of a path, cost more than all else that a
    prediction needs besides its model.
    """

    def __init__(self, app: ASGIApp, straight: Mapping[tuple[str, str], ASGIApp]) -> None:
        """Take the app, and who answers a method and path."""
        self._app = app
        self._straight = straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        app = self._straight.get((scope.get("method", ""), scope.get("path", "")), self._app)
        await app(scope, receive, send)
