"""The limits of one request: how long it may take, and how large its body may be."""

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope

from app.errors import BodyTimeoutError, BodyTooLargeError, FieldProblem, InvalidInputError, OverloadedError
from app.http.body import RawHeaders
from app.http.codings import Decoder, make_decoder
from app.settings import Settings

DEADLINE_HEADER = "x-deadline-ms"
# A process holds at most as many bytes of bodies as this number of the largest ones has.
MOST_LARGE_BODIES = 16
MOST_MILLISECONDS = 10**18 - 1
# A client may still send when it already has its answer. If the service closed the connection at once, the client would
# see a reset connection instead of the answer. So the service reads and drops the rest for this long. Not longer: a
# process that was told to end waits for one second after the last deadline.
LINGER_SECONDS = 1.0

_MILLISECONDS = re.compile(rb"0*[1-9][0-9]{0,17}")


@dataclass
class Budget:
    """The bytes of bodies that a process may still hold, for all requests together."""

    bytes: int


class Limits:
    """The limits of one request.

    Attributes:
        deadline: when the answer is due, on the clock of `time.monotonic`.
        is_complete: whether the body has been received to its end, or the client has left.
        headers: of the request, by their names in lower case.
        started: when the request began, on the same clock.
    """

    def __init__(self, scope: Scope, receive: Receive, settings: Settings, budget: Budget) -> None:
        """Take a request, whose body is read by `receive` from now on."""
        self._budget = budget
        self._receive = receive
        self.headers: RawHeaders = dict(scope["headers"])
        self._state = scope.setdefault("state", {})
        self._max_bytes = settings.max_body_bytes
        self._bytes = 0  # of the body as the app gets it
        self._compressed_bytes = 0  # received, if the body is compressed
        self._decoder: Decoder | None = None
        declared = self.headers.get(b"content-length", b"")
        self._declared_bytes = int(declared) if declared.isdigit() else 0
        self.is_complete = not self._declared_bytes and b"transfer-encoding" not in self.headers
        self._milliseconds = settings.deadline_ms
        self.started = time.monotonic()
        self.deadline = self.started + settings.deadline_ms / 1000

    def apply(self) -> None:
        """Apply the deadline that the request asks for, and put `deadline` and `headers` into the request's state.

        Raises:
            InvalidInputError: the deadline is not a whole number from 1.
            BodyTooLargeError: the announced body has more bytes than the limit.
            UnsupportedCodingError: the body is compressed in a way that the service cannot decompress.
        """
        value = self.headers.get(DEADLINE_HEADER.encode())
        if value is not None:
            if not _MILLISECONDS.fullmatch(value):
                came = value[:20].decode("latin-1")
                message = f"{came!r} is not a number of milliseconds; send a whole number from 1"
                raise InvalidInputError(
                    [FieldProblem(type="int_parsing", loc=["header", DEADLINE_HEADER], msg=message)]
                )
            self._milliseconds = min(int(value), self._milliseconds)
            self.deadline = self.started + self._milliseconds / 1000
        self._state["deadline"] = self.deadline
        self._state["headers"] = self.headers
        if self._declared_bytes > self._max_bytes:
            raise self._make_error(f"{self._declared_bytes} bytes")
        if not self.is_complete:
            self._decoder = make_decoder(self.headers)

    async def receive(self) -> Message:
        """Return the next message of the client; a compressed body is decompressed.

        Raises:
            BadRequestError: the body cannot be decompressed.
            BodyTooLargeError: the body has more bytes than the limit, as it came or decompressed.
            BodyTimeoutError: the body did not arrive before the deadline.
            OverloadedError: all bodies together have too many bytes.
            RequestError: the body is not valid HTTP.
        """
        if self.is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self.deadline):  # event loops have the clock of `time.monotonic`
                message = await self._receive()
        except TimeoutError as error:
            seconds = f"{self._milliseconds / 1000:.10g}"
            raise BodyTimeoutError(f"the whole body did not arrive within {seconds} s; send it faster") from error
        self.is_complete = not message.get("more_body", False)
        if self._decoder and message["type"] == "http.request":
            message["body"] = self._decode(self._decoder, message.get("body", b""))
        size = len(message.get("body", b""))
        self._bytes += size
        self._budget.bytes -= size
        if self._bytes > self._max_bytes:
            raise self._make_error(f"{self._bytes} bytes or more")
        if self._budget.bytes < 0:
            raise OverloadedError("the bodies of other requests fill the memory", 1)
        if "rejected" in self._state:  # by the protocol
            raise self._state.pop("rejected")  # a reference that stays would keep the body in memory
        return message

    def give_back(self) -> None:
        """Give the bytes of the body back to the budget, as the request has ended."""
        self._budget.bytes += self._bytes

    @property
    def may_stay_incomplete(self) -> bool:
        """Whether the client may leave out the rest of the body, as it waited for 100 Continue."""
        return not self.is_complete and b"expect" in self.headers

    async def drop_rest(self) -> None:
        """Receive and drop the rest of the body, for a limited time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.is_complete:
                    self.is_complete = not (await self._receive()).get("more_body", False)

    def _decode(self, decoder: Decoder, part: bytes) -> bytes:
        """Return a part of the body decompressed: at most one byte more than the limit allows."""
        self._compressed_bytes += len(part)
        if self._compressed_bytes > self._max_bytes:
            raise self._make_error(f"{self._compressed_bytes} bytes or more")
        decoded = decoder.decode(part, self._max_bytes - self._bytes + 1)
        if self.is_complete and self._bytes + len(decoded) <= self._max_bytes:
            decoder.finish()
        return decoded

    def _make_error(self, size: str) -> BodyTooLargeError:
        return BodyTooLargeError(f"the body has {size}, the limit is {self._max_bytes}; send it in parts")
