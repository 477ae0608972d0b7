"""Reads the body of a request, within limits of size and time."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive

from app.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientLeftError,
    FieldProblem,
    InvalidInputError,
    UnsupportedMediaTypeError,
)

# A client still sends when its body passes the limit. If the service stopped reading, the client would see a reset
# connection instead of the answer. So the service reads and drops up to this many times the limit.
DRAINED_LIMITS = 16

RawHeaders = Mapping[bytes, bytes]  # the names in lower case

_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json")


async def read_body(receive: Receive, headers: RawHeaders, limit: int, milliseconds: int) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTimeoutError: the body did not arrive in time.
        BodyTooLargeError: the body has more bytes than the limit.
        ClientLeftError: the client closed the connection before the end of the body.
    """
    declared = headers.get(b"content-length", b"")
    if headers.get(b"expect", b"").lower() == b"100-continue" and declared.isdigit() and int(declared) > limit:
        # The client waits for an answer before it sends the body.
        raise BodyTooLargeError(f"the body has {int(declared)} bytes, the limit is {limit}; send it in parts")
    try:
        async with asyncio.timeout(milliseconds / 1000):
            return await _read_parts(receive, limit)
    except TimeoutError as error:
        seconds = f"{milliseconds / 1000:.10g}"
        raise BodyTimeoutError(f"the whole body did not arrive within {seconds} s; send it faster") from error


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


def parse_json(body: bytes, headers: RawHeaders) -> Any:
    """Return the JSON value of a body.

    Raises:
        UnsupportedMediaTypeError: Content-Type is not application/json.
        InvalidInputError: the body is not JSON.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if not _JSON.fullmatch(media_type):
        came = f"the content-type is {media_type[:80]!r}" if media_type else "there is no content-type"
        raise UnsupportedMediaTypeError(f"{came}; send JSON with the header content-type: application/json")
    try:
        # Pydantic's parser rejects lone surrogates, which clients send when they cut a text in the middle of an emoji.
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        where = ["body", error.pos] if isinstance(error, json.JSONDecodeError) else ["body"]
        problem = FieldProblem(type="json_invalid", loc=where, msg=f"the body is not JSON in UTF-8: {error}")
        raise InvalidInputError([problem]) from error
