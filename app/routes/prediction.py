"""The route class of the paths that ask a model."""

import asyncio
import json
import re
import time
from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Header, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Message, Receive, Scope, Send

from app.errors import BodyTimeoutError, BodyTooLargeError, ClientLeftError, RequestError, UnsupportedMediaTypeError
from app.problems import describe, invalid_input
from app.repository import Repository
from app.routes import get_repository, get_settings
from app.schemas import Answer, FieldProblem
from app.settings import Settings
from bundle.manifest import Task

DEADLINE_HEADER = "x-deadline-ms"
# A client is still sending when its body passes the limit, and one that is not listened to sees a reset connection
# instead of the answer. So as many limits' worth are read and dropped before the service gives up on it.
DRAINED_LIMITS = 16
# A client is not watched before its request has waited so long: most are answered by then, and watching costs as much
# as reading a request.
UNWATCHED_SECONDS = 0.05

_MODEL_NAME = re.compile(rb'"model"\s*:\s*(?:"([^"\\]*)"|null)')

RawHeaders = Mapping[bytes, bytes]  # the names in lower case

_DeadlineHeader = Annotated[
    int | None,
    Header(alias=DEADLINE_HEADER, ge=1, description="Milliseconds for this request, if less than the service's own."),
]


@Depends
def describe_deadline(deadline_ms: _DeadlineHeader = None) -> None:
    """Describe the header to FastAPI; `PredictionRoute` reads it itself."""
    del deadline_ms  # pragma: no cover


class PredictionRoute(APIRoute):
    """A route that FastAPI describes, and that reads its requests and writes its answers itself.

    For every request FastAPI finds out anew what a function depends on, checks each part and copies the answer, which
    takes longer than the model. The functions of these routes all depend on the same: `(body, request)`.

    A flood is refused before it is understood, so that most of the time is left for what was accepted.
    """

    task: ClassVar[Task]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse its method.

        Raises:
            RequestError: what came cannot be answered; `RequestLog` tells the client.
            ClientLeftError: the client left before there was an answer.
        """
        if scope["method"] != "POST":
            return await super().handle(scope, receive, send)
        headers = dict(scope["headers"])
        request = Request(scope)
        settings = get_settings(request)
        try:
            milliseconds = read_milliseconds(headers, settings)
            request.state.deadline = time.monotonic() + milliseconds / 1000
            content = await _read_body(receive, settings.max_body_bytes, milliseconds)
        except RequestError as error:
            error.headers = {"connection": "close"}  # the body may not have been read to its end
            raise
        self.admit(content, get_repository(request), get_deadline(request))
        body = self._parse(content, headers)
        answer = await _unless_client_leaves(receive, self.endpoint(body, request))
        await Answer.of_json(HTTPStatus.OK, "application/json", answer.model_dump_json(), {}).send(send)

    def admit(self, content: bytes, repository: Repository, deadline: float) -> None:
        """Return unless a body names a model whose queue has no place: see `Repository.admit`."""
        if (name := _find_model_name(content)) is not None:
            repository.admit(self.task, name, deadline)

    def _parse(self, body: bytes, headers: RawHeaders) -> BaseModel:
        """Return what came, as the function's schema has it."""
        assert self.body_field is not None
        schema: type[BaseModel] = self.body_field.field_info.annotation  # type: ignore[assignment]
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        if not media_type.endswith("json"):
            came = f"the content-type is {media_type!r}" if media_type else "there is no content-type"
            raise UnsupportedMediaTypeError(f"{came}; send JSON with the header content-type: application/json")
        try:
            # Not pydantic's parser: it refuses half an emoji, which clients that cut texts send.
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            where = ["body", error.pos] if isinstance(error, json.JSONDecodeError) else ["body"]
            problem = FieldProblem(type="json_invalid", loc=where, msg=f"the body is not JSON in UTF-8: {error}")
            raise invalid_input([problem]) from error
        try:
            return schema.model_validate(value)
        except ValidationError as error:
            raise invalid_input(describe(error.errors(include_url=False), "body")) from error


def get_deadline(request: Request) -> float:
    """Return when a request has to be answered, in `time.monotonic`: the service's deadline or its own nearer one."""
    deadline: float = request.state.deadline
    return deadline


def _find_model_name(content: bytes) -> str | None:
    r"""Return the model that a body names if it is a request at all, "" for the default; None if that takes parsing.

    A `"model"` without backslashes is a whole string, with a colon behind it a key, and the last of these counts. The
    key could also be spelled `"mod\u0065l"`, all letters of it being from U+0060 to U+006F, or be in UTF-16 or UTF-32.
    """
    if b"\\u006" in content or b"\0" in content:
        return None
    at = content.rfind(b'"model"')
    if at < 0:
        return ""
    found = _MODEL_NAME.match(content, at)
    return (found[1] or b"").decode("latin-1") if found else None


def read_milliseconds(headers: RawHeaders, settings: Settings) -> int:
    """Return in how many milliseconds a request has to be answered: the service's or its own fewer.

    Raises:
        InvalidInputError: it has a deadline of its own that is none.
    """
    value = headers.get(DEADLINE_HEADER.encode())
    if value is None:
        return settings.deadline_ms
    if not (value.isdigit() and len(value) <= 20 and int(value) >= 1):
        message = f"{value[:20].decode('latin-1')!r} is not a number of milliseconds; send a whole number from 1"
        raise invalid_input([FieldProblem(type="int_parsing", loc=["header", DEADLINE_HEADER], msg=message)])
    return min(int(value), settings.deadline_ms)


async def _read_body(receive: Receive, limit: int, milliseconds: int) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTimeoutError: it was not all there in so many milliseconds.
        BodyTooLargeError: it has more bytes than the limit.
        ClientLeftError: the client left before it had sent all.
    """
    seconds = milliseconds / 1000
    try:
        async with asyncio.timeout(seconds):
            return await _read_parts(receive, limit)
    except TimeoutError as error:
        raise BodyTimeoutError(f"the body was not all there after {seconds:.10g} s; send it faster") from error


async def _read_parts(receive: Receive, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more and size <= limit * DRAINED_LIMITS:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body", False)
    if size > limit:
        raise BodyTooLargeError(
            f"the body has {size} bytes{' or more' if more else ''}, the limit is {limit}; send it in parts"
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _unless_client_leaves(receive: Receive, prediction: Coroutine[Any, Any, BaseModel]) -> BaseModel:
    """Return a prediction; give it up when the client leaves, so that it takes no place in a queue."""
    loop = asyncio.get_running_loop()
    handler = asyncio.current_task(loop)
    assert handler is not None
    leaving: asyncio.Future[Message] | None = None

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.ensure_future(receive())  # the body has been read, so what comes is the end
        leaving.add_done_callback(lambda _: leaving.cancelled() or handler.cancel())

    timer = loop.call_later(UNWATCHED_SECONDS, watch)
    try:
        return await prediction
    except asyncio.CancelledError as error:
        if leaving and leaving.done():
            raise ClientLeftError from error
        raise
    finally:
        timer.cancel()
        if leaving:
            leaving.cancel()
