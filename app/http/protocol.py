"""Uvicorn's protocol with limits: one connection can neither fill the memory nor stay open for ever.

The parser gets one request at a time, and the next one after the answer. So pipelined requests wait in the client's
socket, answers keep their order, and the answers to valid requests come before the one to an invalid request.

Uvicorn does not document its base class, so `pyproject.toml` bounds the version, and the tests of this module cover
the parts in use. If a new version breaks them, read `uvicorn/protocols/http/httptools_impl.py`: this module needs the
callbacks of the parser, `cycle`, `flow` and the timer for idle connections.
"""

import asyncio
import logging
import math
import re
import resource
import socket
from contextvars import Context
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import BadRequestError, HeadTooLargeError, NotReadyError, RequestError, UrlTooLongError
from app.http.limits import LINGER_SECONDS
from app.http.problems import make_answer
from app.settings import UNIX_CLIENT
from app.telemetry.logs import make_request_id

# Bytes of a request line and its headers, of the trailers after a chunked body, and of one chunk's extensions.
MOST_HEAD_BYTES = 64 * 1024
# Bytes of chunks parsed in one pass of the event loop. One read brings up to 256 KiB, and parsing a chunk takes 2 µs.
# Without this limit, four clients that sent chunks of one byte delayed others by 0.5 s.
MOST_PARSED_BYTES = 8 * 1024
# From the first byte of a head to its last.
HEAD_SECONDS = 10
# A connection is closed after this many requests or seconds. Otherwise clients would never connect to new processes.
MOST_REQUESTS = 1000
MOST_SECONDS = 60
# A client that has closed its side may wait for the answer, or may be gone: TCP does not show which. So the connection
# stays open for this long.
HALF_CLOSED_SECONDS = 1
# A connection is closed when the client reads no answers for this long.
UNREAD_SECONDS = 30
# File descriptors that are not for connections.
RESERVED_FILES = 64
# Between two error lines about too many connections.
WARNING_SECONDS = 10

_HEAD_END = b"\r\n\r\n"  # also the end of a chunked body
# The parser drops the body of a request that offers another protocol, as Java's HttpClient does by default.
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
# The start of one of these patterns, at the end of the received bytes.
_START = re.compile(rb"\r(\n(\r|u|up|upg|upgr|upgra|upgrad|upgrade)?)?\Z", re.IGNORECASE)
_START_BYTES = len(b"\r\nupgrade")

logger = logging.getLogger(__name__)


class Protocol(HttpToolsProtocol):
    """Reads requests from one connection."""

    flow: "_Flow"
    _warned_at: ClassVar[float] = -math.inf  # about too many connections

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take uvicorn's arguments."""
        super().__init__(*args, **options)
        self.url = b""
        self._held = b""  # received and not parsed
        self._head_bytes = 0  # parsed since the last head or body
        self._head_due = math.inf  # when an incomplete request must be complete
        self._is_in_body = False
        self._body_left = 0  # bytes that Content-Length announces
        self._requests = 0
        self._opened_at = self.loop.time()
        self._closes_at = self._opened_at + MOST_SECONDS
        self._is_half_closed = False
        self._is_rejected = False
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, unless there are too many."""
        super().connection_made(transport)
        if transport.get_extra_info("socket").family == socket.AF_UNIX:
            self.client = (UNIX_CLIENT, 0)
        self.flow = _Flow(transport)
        if len(self.connections) <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_FILES:
            self._wait()
            return
        if self.loop.time() - Protocol._warned_at > WARNING_SECONDS:
            Protocol._warned_at = self.loop.time()
            logger.error("%d connections are open; raise the limit of open files (ulimit -n)", len(self.connections))
        self._reject(NotReadyError("there are too many connections; try again in a moment"))
        self.transport.close()  # a connection that lingers is an open file

    def awaits_first_request(self, since: float) -> bool:
        """Return whether the connection was made since then, on the event loop's clock, and had no request yet."""
        return self._opened_at >= since and not self._requests

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._unset_unread_timer()

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes; drop them if the client was rejected."""
        if not self._is_rejected:
            self._held = self._held + data if self._held else data
            self._read()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open, which it does for a moment if an answer is due."""
        if self._is_rejected or not self._is_answering() or self._is_in_body:
            return False
        self._is_half_closed = True
        self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def pause_writing(self) -> None:
        """Send no more until the client reads."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Send again."""
        super().resume_writing()
        self._unset_unread_timer()

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        if self.parser.should_upgrade():
            raise ValueError("CONNECT is a request to a proxy")
        for name, value in self.headers:
            if name == b"content-length":
                self._body_left = int(value)
        super().on_headers_complete()
        self._unset_keepalive_if_required()
        self._head_bytes = 0
        self._head_due = math.inf
        self._is_in_body = True
        self.headers = []  # the scope keeps the other list; this one takes the trailers, which are dropped
        self._requests += 1
        is_last = self._requests >= MOST_REQUESTS or self.loop.time() > self._closes_at
        if is_last or self.app_state.get("is_ending"):
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Add a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._head_bytes = 0
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._is_in_body:
            self.transport.close()  # the app has waited for the rest of the body long enough
        elif self._held:
            # Without the context of this request, whose id would stand in log lines about the next one.
            self.loop.call_soon(self._continue, context=Context())
        elif self._is_half_closed:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if the client has not read the last answer."""
        self.transport.abort()

    def _is_answering(self) -> bool:
        """Return whether a request has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _takes_bytes(self) -> bool:
        """Return whether the parser may get more: the rest of a body, or a request when none is being answered."""
        return self._is_in_body or not self._is_answering()

    def _read(self) -> None:
        """Parse the received bytes, up to the end of the first request without an answer."""
        at = 0
        try:
            while at < min(len(self._held), MOST_PARSED_BYTES) and self._takes_bytes():
                piece = self._cut(at)
                if not piece:
                    break
                at += len(piece)
                self.parser.feed_data(piece if self._is_in_body else _UPGRADE.sub(b"\r\nx-upgrade:", piece))
        except RequestError as error:
            self._reject(error)
            return
        except httptools.HttpParserCallbackError:  # of `on_headers_complete`
            self._reject(BadRequestError("the method, the URL or the length is invalid; send HTTP/1.1"))
            return
        except httptools.HttpParserError as error:
            self._reject(BadRequestError(f"the request is not valid HTTP: {error}; send HTTP/1.1"))
            return
        self._held = self._held[at:]
        if not self._is_answering():
            self._wait()
        continues = bool(self._held) and at >= MOST_PARSED_BYTES and self._takes_bytes()
        if continues:
            self.loop.call_soon(self._continue)
        self.flow.hold(continues or (bool(self._held) and not self._takes_bytes()))

    def _continue(self) -> None:
        """Parse more of the received bytes, unless the connection has ended in the meantime."""
        if not self.transport.is_closing() and not self._is_rejected:
            self._read()

    def _cut(self, at: int) -> bytes:
        """Return the bytes for the parser: at most one request, and none if more have to be received first.

        Raises:
            HeadTooLargeError: the headers, trailers or chunk extensions are too long.
            UrlTooLongError: the URL is too long.
        """
        if self._body_left:
            piece = self._held[at : at + self._body_left]
            self._body_left -= len(piece)
            return piece
        if self._head_bytes == MOST_HEAD_BYTES:
            is_url = len(self.url) > MOST_HEAD_BYTES // 2 and not self._is_in_body
            kind = UrlTooLongError if is_url else HeadTooLargeError
            what = "URL" if is_url else "head of the request"
            raise kind(f"the {what} has more than {MOST_HEAD_BYTES} bytes, which is the limit; send a shorter one")
        most = MOST_HEAD_BYTES - self._head_bytes
        bound = min(most, MOST_PARSED_BYTES) if self._is_in_body else most
        limit = min(len(self._held), at + bound)
        end = self._held.find(_HEAD_END, at, limit)
        if end >= 0:
            end += len(_HEAD_END)
        else:
            end = limit
            # A cut within the end of a body would hide it, and the parser would get the next request, too.
            if bound < most or limit == len(self._held):
                start = _START.search(self._held, max(at, limit - _START_BYTES), limit)
                end = start.start() if start else limit
        self._head_bytes += end - at
        return self._held[at:end]

    def _wait(self) -> None:
        """Set the timer that closes the connection if no request comes, or if an incomplete one stays so."""
        now = self.loop.time()
        has_begun = self._held or self._head_bytes or self._is_in_body
        self._head_due = min(self._head_due, now + HEAD_SECONDS) if has_begun else math.inf
        self._unset_keepalive_if_required()
        due = min(self._head_due, now + self.timeout_keep_alive)
        self.timeout_keep_alive_task = self.loop.call_at(due, self.timeout_keep_alive_handler)

    def _reject(self, error: RequestError) -> None:
        """Answer with an error and close the connection; the app does that for a request that it has begun."""
        self._is_rejected = True
        self._held = b""
        self._unset_keepalive_if_required()
        self.flow.hold(False)
        if not self._is_answering():
            self._send(error)
        elif self.cycle.response_started:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            self.scope["state"]["rejected"] = error  # `Limits.receive` raises it
            self.cycle.keep_alive = self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
            return
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _send(self, error: RequestError) -> None:
        """Send the answer to bytes that are not a request, and log it."""
        request_id = make_request_id()
        answer = make_answer(error, "/")
        headers = [*self.server_state.default_headers, *answer.headers, (b"connection", b"close")]
        headers.append((b"x-request-id", request_id.encode()))
        lines = [STATUS_LINE[answer.status], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
        self.transport.write(b"".join([*lines, answer.content]))
        client = self.client[0] if self.client else None
        fields = {"request_id": request_id, "status": int(error.status), "client": client}
        logger.info("rejected: %s", error, extra=fields)

    def _unset_unread_timer(self) -> None:
        if self._unread_timer:
            self._unread_timer.cancel()
            self._unread_timer = None


class _Flow(FlowControl):
    """Flow control that does not read while received bytes wait to be parsed."""

    _is_held = False

    def hold(self, is_held: bool) -> None:
        """Stop reading, or read again."""
        if is_held != self._is_held:
            self._is_held = is_held
            if is_held:
                self.pause_reading()
            else:
                self.resume_reading()

    def resume_reading(self) -> None:
        """Read again, unless held."""
        if not self._is_held:
            super().resume_reading()
