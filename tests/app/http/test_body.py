"""The JSON in the body of a request."""

import json

import pytest

from app.errors import InvalidInputError, UnsupportedMediaTypeError
from app.http.body import check_media_type, parse_json


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


@pytest.mark.parametrize("body", [b"", b"{", b"\xff{}", b"{} {}", b"[" * 100_000, b"9" * 5000, b'"\n"'])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="the body is not JSON in UTF-8") as raised:
        parse_json(body)
    (problem,) = raised.value.errors
    assert problem.type == "json_invalid" and problem.loc[0] == "body"
    assert len(problem.msg) < 200


def test_half_an_emoji_is_json() -> None:
    assert parse_json(rb'"\ud83d"') == json.loads(rb'"\ud83d"')
