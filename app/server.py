"""How the service listens: uvicorn, with one packet an answer, and connections spread over the processes."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Self

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import SettingsError
from app.settings import PREFIX

if TYPE_CHECKING:  # the process that only starts others has no use for it
    from app.gate import Gate
    from app.schemas import Answer

# Connections that are taken at once. libuv takes one in a pass of the event loop, and in a flood a pass is long.
MOST_ACCEPTED = 64


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, but the head and the body of an answer are sent together, and connections taken together.

    One on which no whole head comes is closed. Uvicorn writes head and body one after the other, and each write costs a
    packet, here and at the client. A request that comes whole while a `Gate` is shut, which the app's state has under
    "gate", is shown to it first, and may be answered by it.
    """

    _content: bytes | None = None  # of a request that is not begun, as far as it has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        # As uvicorn does behind an answer: a client that never asks would be kept for ever.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if OwnSocket.newest:
            self._accept_more(OwnSocket.newest)

    def data_received(self, data: bytes) -> None:
        """Read what has come; for the end of a head is waited no longer than for its begin."""
        timer = self.timeout_keep_alive_task
        super().data_received(data)
        if self._content is not None and not self.transport.is_closing():
            self._begin()  # and wait for the rest as always
        in_a_request = self.cycle is not None and not self.cycle.response_complete
        if timer and not self.timeout_keep_alive_task and not in_a_request:
            self.timeout_keep_alive_task = self.loop.call_at(timer.when(), self.timeout_keep_alive_handler)

    def on_headers_complete(self) -> None:
        """Begin a request, unless the gate is to see it before."""
        gate: Gate | None = self.app_state.get("gate")
        is_first = self.cycle is None or self.cycle.response_complete  # else its answer has to wait for others
        if gate and is_first and not self.expect_100_continue and gate.is_shut(self.parser.get_method(), self.url):
            self._content = b""
        else:
            self._start_cycle()

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        if self._content is None:
            super().on_body(body)
        else:
            self._content += body

    def on_message_complete(self) -> None:
        """End a request."""
        if self._content is not None:
            gate: Gate = self.app_state["gate"]
            if answer := gate.refuse(self.url, self.headers, self._content):
                self._content = None
                self._answer(answer)
                return
            self._begin()
        super().on_message_complete()

    def _begin(self) -> None:
        """Begin a request that the gate was to see."""
        content, self._content = self._content or b"", None
        self._start_cycle()
        super().on_body(content)

    def _start_cycle(self) -> None:
        """Begin a request; its connection is not kept once the server is stopping."""
        super().on_headers_complete()
        if self.cycle and self.app_state.get("is_ending"):
            self.cycle.keep_alive = False

    def _answer(self, answer: "Answer") -> None:
        """Answer a request that is not begun."""
        is_kept = (
            self.parser.get_http_version() != "1.0"
            and self.parser.should_keep_alive()
            and not self.app_state.get("is_ending")
        )
        headers = [*self.server_state.default_headers, *answer.headers]
        if not is_kept:
            headers.append((b"connection", b"close"))
        lines = [STATUS_LINE[answer.status], *(b"%b: %b\r\n" % header for header in headers), b"\r\n", answer.content]
        self.transport.write(b"".join(lines))
        if not is_kept:
            self.transport.close()
        self.on_response_complete()

    def _accept_more(self, listener: socket.socket) -> None:
        """Take the other connections that are waiting."""

        def make_another() -> Protocol:
            return Protocol(self.config, self.server_state, self.app_state, self.loop)

        for connection in islice(_accept_all(listener), MOST_ACCEPTED):
            task: asyncio.Task[Any] = self.loop.create_task(self.loop.connect_accepted_socket(make_another, connection))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


class JoiningTransport:
    """A transport that holds what is written until more is, or until the event loop's next pass."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap the transport of a connection."""
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        """Return what is the same in the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data behind what is held, or hold it."""
        if self._held:
            self._held += data
            self._flush()
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close the connection once all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)


class OwnSocket(socket.socket):
    """A socket that every process it is sent to binds anew to the same address, and listens on for itself.

    Of processes that listen on one socket, who is idle takes all connections that come while the others compute, and
    keeps them: of 64, up to 60.
    """

    newest: "ClassVar[OwnSocket | None]" = None  # of this process, which has one

    @classmethod
    def bind_new(cls, family: int, address: Any) -> Self:
        """Return a socket on an address that sockets of this class may share."""
        found = cls(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(address)
        found.setblocking(False)
        cls.newest = found
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process makes its own."""
        return self.bind_new, (self.family, self.getsockname())


async def accept_waiting(listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
    """Take the connections that have been made and not been accepted."""
    loop = asyncio.get_running_loop()
    for connection in _accept_all(listener):
        await loop.connect_accepted_socket(make_protocol, connection)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that have been made, until there are none or no more file descriptors."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # libuv takes the next one, or logs why it cannot
            return
        yield connection


def bind(host: str, port: int) -> OwnSocket:
    """Return a socket on an address that nobody listens on; port 0 is any that is free.

    Raises:
        SettingsError: somebody does, or the machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as single:
            single.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            single.bind((host, port))  # which a socket that may share the address could do beside others
            address = single.getsockname()
        return OwnSocket.bind_new(family, address)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error.strerror}; set {PREFIX}HOST and {PREFIX}PORT to what is free"
        ) from error
