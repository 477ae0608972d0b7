"""The body of a request, part by part, and the JSON in it."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from starlette.types import Message

from app.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientLeftError,
    InvalidInputError,
    UnsupportedMediaTypeError,
)
from app.http.body import DRAINED_LIMITS, RawHeaders, parse_json, read_body

LIMIT = 10
JSON = {b"content-type": b"application/json"}


class Client:
    """Sends parts of a body, and then an end: a whole body, a connection that is closed, or nothing more."""

    def __init__(self, parts: Sequence[bytes], end: str = "whole") -> None:
        self.parts = list(parts)
        self.end = end
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        if self.parts:
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts) or self.end != "whole"}
        if self.end == "silent":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


def read(client: Client, headers: RawHeaders | None = None, milliseconds: int = 60_000) -> bytes:
    return asyncio.run(read_body(client.receive, headers or {}, LIMIT, milliseconds))


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
def test_a_body_is_read_to_its_end(parts: list[bytes]) -> None:
    assert read(Client(parts)) == b"".join(parts)


def test_a_body_that_is_a_little_too_large_is_read_before_it_is_refused() -> None:
    client = Client([b"0123456789", b"x", b"y"])
    with pytest.raises(BodyTooLargeError, match="the body has 12 bytes, the limit is 10; send it in parts"):
        read(client)
    assert client.asked == 3


def test_a_body_that_never_ends_is_refused_in_the_end() -> None:
    client = Client([bytes(LIMIT)] * 1000)
    with pytest.raises(BodyTooLargeError, match=r"the body has \d+ bytes or more"):
        read(client)
    assert client.asked == DRAINED_LIMITS + 1


@pytest.mark.parametrize("declared", [b"11", b"99999999999999999999"])
def test_a_client_that_asks_before_it_sends_too_much_is_refused_at_once(declared: bytes) -> None:
    client = Client([])
    with pytest.raises(BodyTooLargeError, match=declared.decode()):
        read(client, {b"content-length": declared, b"expect": b"100-Continue"})
    assert client.asked == 0


@pytest.mark.parametrize(
    "headers", [{b"content-length": b"11"}, {b"content-length": b"10", b"expect": b"100-continue"}]
)
def test_other_clients_are_read(headers: RawHeaders) -> None:
    assert read(Client([b"0123456789"]), headers) == b"0123456789"


def test_a_client_that_leaves_before_the_end_is_not_answered() -> None:
    with pytest.raises(ClientLeftError):
        read(Client([b"01234"], end="closed"))


def test_a_body_has_a_time() -> None:
    with pytest.raises(BodyTimeoutError, match=r"within 0\.05 s"):
        read(Client([b"01234"], end="silent"), milliseconds=50)


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/json",
        b"Application/JSON ; charset=utf-8",
        b"application/json;charset=utf-8",
        b"application/vnd.x+json",
        b"application/problem+json",
    ],
)
def test_every_media_type_of_json_is_taken(media_type: bytes) -> None:
    assert parse_json(b'{"text": "good"}', {b"content-type": media_type}) == {"text": "good"}


@pytest.mark.parametrize(
    "media_type",
    [b"notjson", b"json", b"text/json", b"application/jsonx", b"application/+json", b"application/json, text/plain"],
)
def test_another_media_type_is_refused(media_type: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="send JSON with the header content-type: application/json"):
        parse_json(b"{}", {b"content-type": media_type})


def test_a_body_without_a_media_type_is_refused() -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="there is no content-type"):
        parse_json(b"{}", {})


def test_a_long_media_type_is_cut_in_the_message() -> None:
    with pytest.raises(UnsupportedMediaTypeError) as raised:
        parse_json(b"{}", {b"content-type": b"x\xff" * 30_000})
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("body", [b"", b"{", b"\xff{}", b"{} {}", b"[" * 100_000, b"9" * 5000, b'"\n"'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the body is not JSON in UTF-8") as raised:
        parse_json(body, JSON)
    (problem,) = raised.value.errors
    assert problem.type == "json_invalid" and problem.loc[0] == "body"
    assert len(problem.msg) < 200


def test_half_an_emoji_is_json() -> None:
    assert parse_json(rb'"\ud83d"', JSON) == json.loads(rb'"\ud83d"')
