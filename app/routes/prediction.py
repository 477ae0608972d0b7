"""The route class of the paths that ask a model."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.errors import ClientLeftError, UnsupportedMediaTypeError, describe, invalid_input
from app.schemas import FieldProblem
from app.settings import Settings

DEADLINE_HEADER = "x-deadline-ms"

DeadlineHeader = Annotated[
    int | None,
    Header(alias=DEADLINE_HEADER, ge=1, description="Milliseconds for this request, if less than the service's own."),
]


class PredictionRoute(APIRoute):
    """A route that FastAPI describes, and that reads its requests and writes its answers itself.

    For every request FastAPI finds out anew what a function depends on, checks each part and copies the answer, which
    takes longer than the model. The functions of these routes all depend on the same: `(body, request, deadline_ms)`.
    The body comes in one message, see `BodyLimit`.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RequestError: what came cannot be answered; the app's handlers tell the client.
            ClientLeftError: the client left before there was an answer.
        """
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)  # which refuses it
            return
        request = Request(scope, receive)
        deadline_ms = _read_deadline_ms(request)
        body = self._parse((await receive())["body"], request.headers)
        answer = await _unless_client_leaves(request, self.endpoint(body, request, deadline_ms))
        await Response(answer.model_dump_json(), media_type="application/json")(scope, receive, send)

    def _parse(self, body: bytes, headers: Headers) -> BaseModel:
        """Return what came, as the function's schema has it."""
        assert self.body_field is not None
        schema: type[BaseModel] = self.body_field.field_info.annotation  # type: ignore[assignment]
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
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


def get_settings(request: Request) -> Settings:
    """Return the settings of the app that a request came to."""
    settings: Settings = request.app.state.settings
    return settings


def get_deadline(request: Request, deadline_ms: int | None) -> float:
    """Return when a request has to be answered, in the event loop's seconds: the service's deadline or a nearer one."""
    allowed = get_settings(request).deadline_ms
    return asyncio.get_running_loop().time() + min(allowed, deadline_ms or allowed) / 1000


def _read_deadline_ms(request: Request) -> int | None:
    header = request.headers.get(DEADLINE_HEADER)
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal() and len(header) <= 20 and int(header) >= 1):
        message = f"{header[:20]!r} is not a number of milliseconds; send a whole number from 1"
        raise invalid_input([FieldProblem(type="int_parsing", loc=["header", DEADLINE_HEADER], msg=message)])
    return int(header)


async def _unless_client_leaves(request: Request, prediction: Coroutine[Any, Any, BaseModel]) -> BaseModel:
    """Return a prediction; give it up when the client leaves, so that it takes no place in a queue."""
    handler = asyncio.current_task()
    assert handler is not None
    leaving = asyncio.ensure_future(request.receive())  # the body has been read, so what comes is the end
    leaving.add_done_callback(lambda _: leaving.cancelled() or handler.cancel())
    try:
        return await prediction
    except asyncio.CancelledError as error:
        if leaving.done():
            raise ClientLeftError from error
        raise
    finally:
        leaving.cancel()
