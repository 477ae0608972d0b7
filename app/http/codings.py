"""Content codings (RFC 9110, section 8.4): compressed bodies of requests, and compressed answers.

The codings are gzip and deflate, which is the zlib format here (RFC 1950). This module does not import FastAPI.
"""

import re
import zlib

from starlette.types import Message, Send

from app.errors import BadRequestError, UnsupportedCodingError
from app.http.body import RawHeaders

# Of a gzip body (RFC 1952, section 2.2), so that a body of many tiny ones takes little time.
MOST_MEMBERS = 1000
# An answer with fewer bytes fits into one packet anyway.
LEAST_BYTES = 1024
# The fastest level: answers are compressed in the thread of the event loop.
LEVEL = 1

# The formats as zlib numbers them. Source: https://docs.python.org/3/library/zlib.html#zlib.compressobj
_FORMATS = {b"gzip": zlib.MAX_WBITS + 16, b"deflate": zlib.MAX_WBITS}
_NAMES = {b"gzip": b"gzip", b"x-gzip": b"gzip", b"deflate": b"deflate"}  # RFC 9110, section 8.4.1.3
_NO_CODING = (b"", b"identity")
_ACCEPTED = re.compile(rb"(?:^|,)\s*(gzip|deflate)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?(?=,|$)", re.IGNORECASE)
_MOST_ACCEPTED_BYTES = 200  # of Accept-Encoding, which are read


class Decoder:
    """Decompresses one body, part by part."""

    def __init__(self, coding: bytes) -> None:
        """Take the coding: gzip or deflate."""
        self._name = coding.decode()
        self._format = _FORMATS[coding]
        self._stream = zlib.decompressobj(self._format)
        self._members = 1

    def decode(self, part: bytes, most: int) -> bytes:
        """Return what the next part contains, up to a number of bytes; the rest of a larger part is lost.

        Raises:
            BadRequestError: the part is damaged, bytes follow the end of the compressed data, or a gzip body has too
                many members.
        """
        decoded: list[bytes] = []
        while part and most > 0:
            if self._stream.eof:
                self._begin_member()
            try:
                decoded.append(self._stream.decompress(part, most))
            except zlib.error as error:
                raise BadRequestError(f"the body is not valid {self._name} data; compress it again") from error
            most -= len(decoded[-1])
            part = self._stream.unused_data
        return b"".join(decoded)

    def _begin_member(self) -> None:
        """Begin another member of a gzip body."""
        if self._name != "gzip":
            raise BadRequestError(f"bytes follow the end of the {self._name} data; send one compressed body")
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise BadRequestError(f"the gzip data has more than {MOST_MEMBERS} members; send fewer, or one")
        self._stream = zlib.decompressobj(self._format)

    def finish(self) -> None:
        """Return if the compressed data has ended.

        Raises:
            BadRequestError: it has not.
        """
        if not self._stream.eof:
            raise BadRequestError(f"the body ends before its {self._name} data does; send all of it")


def make_decoder(headers: RawHeaders) -> Decoder | None:
    """Return the decoder for the body of a request; None if the body is not compressed.

    Raises:
        UnsupportedCodingError: the service does not know the coding.
    """
    coding = headers.get(b"content-encoding", b"").strip().lower()
    if coding in _NO_CODING:
        return None
    if coding not in _NAMES:
        came = coding[:80].decode("latin-1")
        raise UnsupportedCodingError(f"the content-encoding is {came!r}; send the body with gzip, deflate or none")
    return Decoder(_NAMES[coding])


def compress_answer(send: Send, accepted: bytes) -> Send:
    """Return a `send` that compresses an answer if the client accepts that and the answer is long.

    An answer in several parts is sent as it is.

    Args:
        send: sends the messages of one answer.
        accepted: the client's Accept-Encoding.
    """
    start: Message | None = None
    coding: bytes | None = None

    async def send_compressed(message: Message) -> None:
        nonlocal start, coding
        if message["type"] == "http.response.start":
            coding = _choose(accepted) if _is_long(message) else None
            if coding:
                start = message  # its headers depend on the body
                return
        elif start and coding:
            if not message.get("more_body", False):
                message["body"] = _compress(message["body"], coding)
                _describe(start, message["body"], coding)
            await send(start)
            start = None
        await send(message)

    return send_compressed


def _is_long(start: Message) -> bool:
    """Return whether an answer is worth compressing; its length is unknown if it is made while it is sent."""
    headers = dict(start.get("headers", ()))
    return int(headers.get(b"content-length", b"0")) >= LEAST_BYTES and b"content-encoding" not in headers


def _choose(accepted: bytes) -> bytes | None:
    """Return the coding that a client prefers, among equal ones gzip; None if it accepts neither."""
    weights: dict[bytes, float] = {}
    for coding, weight in _ACCEPTED.findall(accepted[:_MOST_ACCEPTED_BYTES]):
        weights[coding.lower()] = float(weight or 1)
    best = max(_FORMATS, key=lambda coding: weights.get(coding, 0.0))  # the first of equal ones
    return best if weights.get(best, 0.0) > 0 else None


def _compress(body: bytes, coding: bytes) -> bytes:
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _FORMATS[coding])
    return stream.compress(body) + stream.flush()


def _describe(start: Message, body: bytes, coding: bytes) -> None:
    """Put the coding and the new length into the headers of an answer."""
    others = [header for header in start["headers"] if header[0] != b"content-length"]
    described = [
        (b"content-length", str(len(body)).encode()),
        (b"content-encoding", coding),
        (b"vary", b"accept-encoding"),
    ]
    start["headers"] = others + described
