"""Compressed bodies, and compressed answers."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from starlette.types import Message

from app.errors import BadRequestError, UnsupportedCodingError
from app.http.codings import LEAST_BYTES, MOST_MEMBERS, Decoder, compress_answer, make_decoder

COMPRESS: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}
BODY = b'{"text": "A tender, wonderful film."}' * 100
LONG = b"a long answer " * LEAST_BYTES


@pytest.mark.parametrize("coding", COMPRESS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_is_decompressed_part_by_part(coding: bytes, size: int) -> None:
    compressed = COMPRESS[coding](BODY)
    decoder = Decoder(coding)
    parts = [decoder.decode(compressed[at : at + size], len(BODY)) for at in range(0, len(compressed), size)]
    assert b"".join(parts) == BODY
    assert decoder.decode(b"", 1) == b""
    decoder.finish()


@pytest.mark.parametrize("coding", COMPRESS)
def test_a_bomb_is_decompressed_no_further_than_to_the_limit(coding: bytes) -> None:
    bomb = COMPRESS[coding](bytes(50_000_000))
    decoder = Decoder(coding)
    tracemalloc.start()
    assert decoder.decode(bomb, 1001) == bytes(1001)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < len(bomb) + 200_000  # the bytes that are left, and a window of 32 KiB


@pytest.mark.parametrize("coding", COMPRESS)
def test_what_is_not_of_the_coding_is_refused(coding: bytes) -> None:
    with pytest.raises(BadRequestError, match=f"the body is not valid {coding.decode()} data; compress"):
        Decoder(coding).decode(b'{"text": "good"}', 100)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_gzip_body_may_have_several_members(size: int) -> None:
    compressed = b"".join(gzip.compress(part) for part in (BODY, b"", BODY))
    decoder = Decoder(b"gzip")
    parts = [decoder.decode(compressed[at : at + size], 2 * len(BODY)) for at in range(0, len(compressed), size)]
    assert b"".join(parts) == 2 * BODY
    decoder.finish()
    assert Decoder(b"gzip").decode(compressed, len(BODY) + 1) == BODY + BODY[:1]


def test_a_gzip_body_may_not_have_a_million_members() -> None:
    member = gzip.compress(b"a")
    assert Decoder(b"gzip").decode(member * MOST_MEMBERS, 2 * MOST_MEMBERS) == b"a" * MOST_MEMBERS
    with pytest.raises(BadRequestError, match="the gzip data has more than 1000 members; send fewer, or one"):
        Decoder(b"gzip").decode(member * (MOST_MEMBERS + 1), 2 * MOST_MEMBERS)


@pytest.mark.parametrize(
    ("coding", "why"),
    [(b"gzip", "the body is not valid gzip data"), (b"deflate", "bytes follow the end of the deflate data")],
)
def test_bytes_after_the_end_are_refused(coding: bytes, why: str) -> None:
    compressed = COMPRESS[coding](BODY)
    with pytest.raises(BadRequestError, match=why):
        Decoder(coding).decode(compressed + b"more", len(BODY) + 1)
    decoder = Decoder(coding)
    decoder.decode(compressed, len(BODY) + 1)
    with pytest.raises(BadRequestError, match=why):
        decoder.decode(b"more", len(BODY) + 1)


@pytest.mark.parametrize("coding", COMPRESS)
def test_a_body_that_is_cut_is_refused(coding: bytes) -> None:
    decoder = Decoder(coding)
    decoder.decode(COMPRESS[coding](BODY)[:-1], len(BODY))
    with pytest.raises(BadRequestError, match=f"the body ends before its {coding.decode()} data does"):
        decoder.finish()


@pytest.mark.parametrize("coding", [None, b"", b"identity", b" Identity "])
def test_a_body_may_have_no_coding(coding: bytes | None) -> None:
    assert make_decoder({} if coding is None else {b"content-encoding": coding}) is None


@pytest.mark.parametrize("coding", [b"gzip", b"x-gzip", b" GZIP"])
def test_the_name_of_a_coding_has_several_spellings(coding: bytes) -> None:
    decoder = make_decoder({b"content-encoding": coding})
    assert decoder and decoder.decode(gzip.compress(BODY), len(BODY)) == BODY


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"compress", b"\xff" * 1000])
def test_another_coding_is_refused_with_the_known_ones(coding: bytes) -> None:
    with pytest.raises(UnsupportedCodingError, match="send the body with gzip, deflate or none") as raised:
        make_decoder({b"content-encoding": coding})
    assert raised.value.headers == {"accept-encoding": "gzip, deflate"}
    assert len(str(raised.value)) < 500


def answer(accepted: bytes, *parts: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> list[Message]:
    """Return the messages of an answer in these parts, as a client that accepts these codings gets them."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def send_all() -> None:
        length = str(sum(map(len, parts))).encode()
        sending = compress_answer(send, accepted)
        await sending({"type": "http.response.start", "headers": [(b"content-length", length), *headers]})
        for index, part in enumerate(parts, 1):
            await sending({"type": "http.response.body", "body": part, "more_body": index < len(parts)})

    asyncio.run(send_all())
    return sent


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"deflate, gzip", b"gzip"),
        (b"br, GZIP ;q=0.5 , deflate; q=0.9", b"deflate"),
        (b"gzip;q=1.0", b"gzip"),
        (b"gzip;q=0, deflate;q=0.001", b"deflate"),
    ],
)
def test_a_long_answer_has_the_coding_that_the_client_prefers(accepted: bytes, coding: bytes) -> None:
    start, body = answer(accepted, LONG, headers=((b"content-type", b"text/plain"),))
    assert zlib.decompress(body["body"], 47) == LONG
    assert body["body"].startswith(b"\x1f\x8b") == (coding == b"gzip")
    assert start["headers"] == [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body["body"])).encode()),
        (b"content-encoding", coding),
        (b"vary", b"accept-encoding"),
    ]


@pytest.mark.parametrize(
    "accepted", [b"", b"br", b"identity", b"gzip;q=0", b"gzip;q=0.0, deflate;q=0", b"gzipped", b"*"]
)
def test_an_answer_is_sent_as_it_is_to_a_client_that_accepts_no_coding(accepted: bytes) -> None:
    start, body = answer(accepted, LONG)
    assert body["body"] == LONG and start["headers"] == [(b"content-length", str(len(LONG)).encode())]


def test_other_answers_are_sent_as_they_are() -> None:
    short, coded = LONG[: LEAST_BYTES - 1], ((b"content-encoding", b"br"),)
    assert answer(b"gzip", short)[1]["body"] == short
    assert answer(b"gzip", LONG, headers=coded)[1]["body"] == LONG
    assert [message["body"] for message in answer(b"gzip", LONG, LONG)[1:]] == [LONG, LONG]
    assert answer(b"gzip", LONG[:LEAST_BYTES])[1]["body"] != LONG[:LEAST_BYTES]


def test_an_answer_of_unknown_length_is_sent_as_it_is() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def send_all() -> None:
        sending = compress_answer(send, b"gzip")
        await sending({"type": "http.response.start"})
        await sending({"type": "http.response.body", "body": LONG})

    asyncio.run(send_all())
    assert sent == [{"type": "http.response.start"}, {"type": "http.response.body", "body": LONG}]
