"""What wraps every request: its id and log line, and the limit on its body."""

import logging
import random
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import INTERNAL_ERROR, BodyTooLargeError, ClientLeftError, InternalError, make_response
from app.logs import begin_request

REQUEST_ID_HEADER = "x-request-id"
# A client is still sending when its body passes the limit, and one that is not listened to sees a reset connection
# instead of the answer. So as many limits' worth are read and dropped before the service gives up on it.
DRAINED_LIMITS = 16

logger = logging.getLogger(__name__)


class RequestLog:
    """Gives every request an id, which its answer carries, and a line in the log; answers unexpected errors."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = f"{random.getrandbits(128):032x}"  # tells requests apart, and is no secret
        begin_request(request_id)
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientLeftError:
            pass  # there is nobody to answer
        except Exception:
            logger.exception("unexpected error")
            if status is not None:
                raise  # the answer has begun: only the server can break it off
            await make_response(InternalError(INTERNAL_ERROR), scope["path"])(scope, receive, send_with_id)
        finally:
            logger.info(
                "answered" if status else "the client left before an answer",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "milliseconds": round(1000 * (time.perf_counter() - started), 3),
                },
            )


class BodyLimit:
    """Reads a request's body before the app does, and refuses one that is too large."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """Wrap an app; the limit is in bytes."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, size, more = bytearray(), 0, True
        while more and size <= self._limit * DRAINED_LIMITS:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= self._limit:
                body += chunk
            more = message.get("more_body", False)
        if size > self._limit:
            error = BodyTooLargeError(
                f"the body has {size} bytes{' or more' if more else ''}, the limit is {self._limit}; send it in parts"
            )
            await make_response(error, scope["path"])(scope, receive, send)
            return
        unread: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, replay, send)
