"""The limits of one request: how long it may take, and how large its body may be."""

import asyncio
import gzip
import time
import zlib
from collections.abc import Callable, Sequence

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Scope

from app.errors import (
    BadRequestError,
    BodyTimeoutError,
    BodyTooLargeError,
    InvalidInputError,
    OverloadedError,
    RequestError,
    UnsupportedCodingError,
)
from app.http.limits import DEADLINE_HEADER, Budget, Limits
from app.settings import Settings

LIMIT = 10
BUDGET = 25
SETTINGS = Settings(max_body_bytes=LIMIT, deadline_ms=60_000)
CHUNKED = {b"transfer-encoding": b"chunked"}


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


def make_scope(headers: dict[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers.items())}


def read(
    client: Client,
    headers: dict[bytes, bytes] | None = None,
    rejected: RequestError | None = None,
    settings: Settings = SETTINGS,
) -> bytes:
    scope = make_scope(CHUNKED if headers is None else headers)
    if rejected:
        scope["state"] = {"rejected": rejected}
    limits = Limits(scope, client.receive, settings, Budget(max(BUDGET, settings.max_body_bytes)))
    limits.apply()
    body = asyncio.run(Request(scope, limits.receive).body())
    assert limits.is_complete
    return body


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
@pytest.mark.parametrize("headers", [CHUNKED, {b"content-length": b"10"}, {}])
def test_a_body_is_read_to_its_end(parts: list[bytes], headers: dict[bytes, bytes]) -> None:
    assert read(Client(parts), headers) == b"".join(parts)


def test_a_body_past_the_limit_is_rejected_when_the_limit_is_passed() -> None:
    client = Client([b"0123456789", b"x", b"y"])
    with pytest.raises(BodyTooLargeError, match="the body has 11 bytes or more, the limit is 10; send it in parts"):
        read(client)
    assert client.asked == 2


@pytest.mark.parametrize("declared", [b"11", b"99999999999999999999"])
def test_a_body_that_is_announced_as_too_large_is_rejected_before_it_comes(declared: bytes) -> None:
    client = Client([])
    with pytest.raises(BodyTooLargeError, match=f"the body has {declared.decode()} bytes, the limit is 10"):
        read(client, {b"content-length": declared})
    assert client.asked == 0


def test_a_client_that_leaves_before_the_end_ends_the_body() -> None:
    with pytest.raises(ClientDisconnect):
        read(Client([b"01234"], end="closed"))


def test_a_body_that_stops_is_rejected_at_the_deadline() -> None:
    with pytest.raises(BodyTimeoutError, match=r"within 0\.05 s"):
        read(Client([b"01234"], end="silent"), CHUNKED | {DEADLINE_HEADER.encode(): b"50"})


def test_a_body_that_the_protocol_rejects_ends_with_its_error() -> None:
    with pytest.raises(BadRequestError, match="broken"):
        read(Client([b"01234"], end="silent"), rejected=BadRequestError("broken"))


@pytest.mark.parametrize(("asked", "seconds"), [(None, 60), (b"500", 0.5), (b"99999999", 60), (b"000500", 0.5)])
def test_the_shorter_deadline_counts(asked: bytes | None, seconds: float) -> None:
    scope = make_scope({DEADLINE_HEADER.encode(): asked} if asked else {})
    Limits(scope, Client([]).receive, SETTINGS, Budget(BUDGET)).apply()
    assert scope["state"]["deadline"] == pytest.approx(time.monotonic() + seconds, abs=0.25)


@pytest.mark.parametrize("asked", [b"0", b"-1", b"1.5", b"soon", b"", b"\xb2", b"000", b"9" * 5000])
def test_a_deadline_that_is_no_number_of_milliseconds_is_rejected(asked: bytes) -> None:
    limits = Limits(make_scope({DEADLINE_HEADER.encode(): asked}), Client([]).receive, SETTINGS, Budget(BUDGET))
    with pytest.raises(InvalidInputError, match="is not a number of milliseconds; send a whole number from 1"):
        limits.apply()


def test_the_rest_of_a_body_is_dropped() -> None:
    client = Client([b"0123456789"] * 100)
    limits = Limits(make_scope(CHUNKED), client.receive, SETTINGS, Budget(BUDGET))
    asyncio.run(limits.drop_rest())
    assert limits.is_complete and client.asked == 100


def test_the_rest_of_a_body_is_dropped_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.limits.LINGER_SECONDS", 0.05)
    limits = Limits(make_scope(CHUNKED), Client([b"0"], end="silent").receive, SETTINGS, Budget(BUDGET))
    asyncio.run(limits.drop_rest())
    assert not limits.is_complete


@pytest.mark.parametrize("expects", [False, True])
def test_a_client_that_waits_for_100_continue_may_leave_out_the_rest_of_its_body(expects: bool) -> None:
    headers = CHUNKED | ({b"expect": b"100-continue"} if expects else {})
    limits = Limits(make_scope(headers), Client([b"0"]).receive, SETTINGS, Budget(BUDGET))
    assert limits.may_stay_incomplete == expects
    asyncio.run(limits.drop_rest())
    assert not limits.may_stay_incomplete


def test_all_bodies_together_have_a_limit_and_give_their_bytes_back() -> None:
    budget = Budget(BUDGET)

    def start() -> tuple[Limits, bytes]:
        scope = make_scope(CHUNKED)
        limits = Limits(scope, Client([b"0123456789"]).receive, SETTINGS, budget)
        return limits, asyncio.run(Request(scope, limits.receive).body())

    (first, _), (second, _) = start(), start()
    with pytest.raises(OverloadedError, match="the bodies of other requests fill the memory; try again in 1 s"):
        start()
    assert budget.bytes == BUDGET - 30  # the one that was rejected gives its bytes back, too
    budget.bytes += 10
    first.give_back()
    second.give_back()
    assert budget.bytes == BUDGET


@pytest.mark.parametrize(("coding", "compress"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_a_compressed_body_is_read_decompressed(coding: bytes, compress: Callable[[bytes], bytes]) -> None:
    compressed = compress(b"aaaaaa")
    headers = {b"content-encoding": coding, b"content-length": b"10"}
    settings = SETTINGS.model_copy(update={"max_body_bytes": 40})
    for parts in ([compressed], [compressed[:5], compressed[5:], b""]):
        assert read(Client(parts), headers, settings=settings) == b"aaaaaa"


def test_a_compressed_body_has_the_limits_of_a_body_before_and_after() -> None:
    headers = CHUNKED | {b"content-encoding": b"deflate"}
    settings = SETTINGS.model_copy(update={"max_body_bytes": 100})
    assert read(Client([zlib.compress(bytes(100))]), headers, settings=settings) == bytes(100)
    bomb = Client([zlib.compress(bytes(1_000_000))[:90], b"rest"], end="silent")
    with pytest.raises(BodyTooLargeError, match="the body has 101 bytes or more, the limit is 100"):
        read(bomb, headers, settings=settings)
    assert bomb.asked == 1
    # Each part is an empty block: they are decompressed to nothing.
    endless = Client([b"\x78\x01", *[b"\x00\x00\x00\xff\xff" * 10] * 3])
    with pytest.raises(BodyTooLargeError, match="the body has 102 bytes or more, the limit is 100"):
        read(endless, headers, settings=settings)


def test_a_compressed_body_that_is_cut_is_rejected() -> None:
    compressed = zlib.compress(b"a")
    with pytest.raises(BadRequestError, match="the body ends before its deflate data does"):
        read(Client([compressed[:-1]]), CHUNKED | {b"content-encoding": b"deflate"})
    with pytest.raises(ClientDisconnect):
        read(Client([compressed[:-1]], end="closed"), CHUNKED | {b"content-encoding": b"deflate"})


def test_an_unknown_coding_is_rejected_before_the_body_comes() -> None:
    client = Client([b"body"])
    with pytest.raises(UnsupportedCodingError, match="the content-encoding is 'br'"):
        read(client, CHUNKED | {b"content-encoding": b"br"})
    assert client.asked == 0
    assert read(Client([b""]), {b"content-encoding": b"br"}) == b""  # there is no body
