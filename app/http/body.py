"""The body of a request, and the JSON in it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.types import Receive

from app.errors import ClientLeftError, FieldProblem, InvalidInputError, UnsupportedMediaTypeError
from app.http.problems import describe
from bundle.errors import explain

RawHeaders = Mapping[bytes, bytes]  # the names in lower case
Schema = TypeVar("Schema", bound=BaseModel)

_BYTE_ORDER_MARK = "\ufeff"
_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json")


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request.

    Raises:
        ClientLeftError: the client closed the connection before the end of the body.
    """
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_media_type(headers: RawHeaders) -> None:
    """Return if the body is said to be JSON.

    Raises:
        UnsupportedMediaTypeError: Content-Type is not application/json.
    """
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if not _JSON.fullmatch(media_type):
        came = f"the content-type is {media_type[:80]!r}" if media_type else "there is no content-type"
        raise UnsupportedMediaTypeError(f"{came}; send JSON with the header content-type: application/json")


def parse_json(body: bytes, most_values: int) -> Any:
    """Return the JSON value of a body.

    Raises:
        InvalidInputError: the body is not JSON, or it has too many values.
    """
    if _has_more_values(body, most_values):
        message = f"the body has more than {most_values} values, which is the limit; send it in parts"
        raise InvalidInputError([FieldProblem(type="too_many_values", loc=["body"], msg=message)])
    try:
        # Pydantic's parser rejects lone surrogates, which clients send when they cut a text in the middle of an emoji.
        return json.loads(body.decode().removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError) as error:
        raise make_json_error(error) from error


def make_json_error(error: ValueError | RecursionError) -> InvalidInputError:
    """Return the answer to a body that Python's parser of JSON has refused."""
    where = ["body", error.pos] if isinstance(error, json.JSONDecodeError) else ["body"]
    message = f"the body cannot be read: {explain(error)}; send JSON in UTF-8"
    return InvalidInputError([FieldProblem(type="json_invalid", loc=where, msg=message)])


def validate(schema: type[Schema], value: Any, labels: Sequence[str] | None = None) -> Schema:
    """Return the JSON value of a body as an object of its schema.

    Args:
        schema: of the body.
        value: the JSON value.
        labels: those of the model, if the schema depends on them.

    Raises:
        InvalidInputError: it does not fit the schema.
    """
    try:
        return schema.model_validate(value, context=labels and {"labels": labels})
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise InvalidInputError(describe(errors, "body"), len(errors)) from error


def _has_more_values(body: bytes, most: int) -> bool:
    """Return whether JSON has more values than a limit: without parsing, as a million values take 0.4 s."""
    # Looking for escapes takes twice as long as parsing a long text, so it is done only where there are some.
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    if unescaped.count(b'"') > 4 * most:  # a value has at most two texts: its key and itself
        return True
    between_texts = b"".join(unescaped.split(b'"')[::2])
    return sum(between_texts.count(separator) for separator in (b",", b"[", b"{")) >= most
