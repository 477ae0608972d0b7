"""The body of a request, and the JSON in it."""

import asyncio
import json

import pytest
from pydantic import BaseModel
from starlette.types import Message

from app.errors import ClientLeftError, InvalidInputError, UnsupportedMediaTypeError
from app.http.body import check_media_type, parse_json, read_body, validate


def read(*messages: Message) -> bytes:
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return asyncio.run(read_body(receive))


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_read_to_its_end() -> None:
    assert read(part(b"good", more=False)) == b"good"
    assert read(part(b"go", more=True), part(b"", more=True), part(b"od", more=False)) == b"good"


def test_a_client_may_leave_before_the_end() -> None:
    with pytest.raises(ClientLeftError):
        read(part(b"go", more=True), {"type": "http.disconnect"})


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
    check_media_type({b"content-type": media_type})


@pytest.mark.parametrize(
    "media_type",
    [b"notjson", b"json", b"text/json", b"application/jsonx", b"application/+json", b"application/json, text/plain"],
)
def test_another_media_type_is_refused(media_type: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="send JSON with the header content-type: application/json"):
        check_media_type({b"content-type": media_type})


def test_a_body_without_a_media_type_is_refused() -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="there is no content-type"):
        check_media_type({})


def test_a_long_media_type_is_cut_in_the_message() -> None:
    with pytest.raises(UnsupportedMediaTypeError) as raised:
        check_media_type({b"content-type": b"x\xff" * 30_000})
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("body", [b"", b"{", b"\xff{}", b"{} {}", b"9" * 5000, b'"\n"', b'"\xed\xa0\x80"'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the body cannot be read: .*; send JSON in UTF-8") as raised:
        parse_json(body, 100)
    (problem,) = raised.value.errors
    assert problem.type == "json_invalid" and problem.loc[0] == "body"
    assert len(problem.msg) < 200


def test_half_an_emoji_is_json() -> None:
    assert parse_json(rb'"\ud83d"', 100) == json.loads(rb'"\ud83d"')


def test_lists_that_are_too_deep_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="the body cannot be read: .*; send JSON in UTF-8"):
        parse_json(b"[" * 100_000, 1_000_000)


def test_the_mark_of_utf_8_may_begin_a_body() -> None:
    assert parse_json(b'\xef\xbb\xbf{"text": "good"}', 100) == {"text": "good"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(InvalidInputError, match="the body cannot be read: .*; send JSON in UTF-8"):
        parse_json('{"text": "good"}'.encode(encoding), 100)


TEXTS = ['a,b,[c],{"d": [1,2,3]},', r'\\",[,[,[', "\\", '"', '\\"', ",[{" * 1000, '","' * 1000]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("count", [1, 98])
def test_values_are_counted_without_the_texts(text: str, count: int) -> None:
    value = {"texts": [text] * count}
    assert parse_json(json.dumps(value).encode(), 100) == value


@pytest.mark.parametrize(
    "body",
    [
        b"[%b]" % b",".join([b"1"] * 100),
        b"[%b]" % b",".join([b"[]"] * 1_400_000),
        b"[%b]" % b",".join([b'""'] * 1_400_000),
        b"{%b}" % b",".join(b'"%d":1' % key for key in range(100_000)),
        b"[" * 101 + b"]" * 101,
        json.dumps({"texts": TEXTS * 20}).encode(),
    ],
)
def test_more_values_than_the_limit_are_refused_without_parsing(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the body has more than 100 values, which is the limit") as raised:
        parse_json(body, 100)
    assert raised.value.errors[0].type == "too_many_values"


class Point(BaseModel):
    x: int


def test_a_value_becomes_an_object_of_its_schema_or_its_wrong_fields_are_named() -> None:
    assert validate(Point, {"x": 3}) == Point(x=3)
    with pytest.raises(InvalidInputError, match="body.x: Input should be a valid integer") as raised:
        validate(Point, {"x": "three"})
    assert raised.value.errors[0].loc == ["body", "x"] and raised.value.errors[0].input == "three"
