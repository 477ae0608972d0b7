"""Sends requests over raw connections at planned times; the inner part of `openloop`, with little overhead."""

import asyncio
import ctypes
import gc
import os
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

from benchmarks.servers import HOST

LOST = 0  # the status of a request without an answer

_TICK_SECONDS = 0.00025  # requests due within this time are sent together
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class _Timer:
    """A timer as a file descriptor, because the event loop's own timers have a resolution of 1 ms.

    Python has timerfd from 3.13 on.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._when = (ctypes.c_long * 4)()  # struct itimerspec: interval, then the first time
        self.descriptor: int = self._library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def start(self, seconds: float) -> None:
        """Fire once, after `seconds`."""
        self._when[2], self._when[3] = divmod(round(1e9 * max(seconds, _TICK_SECONDS)), 10**9)
        self._library.timerfd_settime(self.descriptor, 0, self._when, None)


class _Connection(asyncio.Protocol):
    """One connection, with at most one unanswered request."""

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._waiting: bytes = b""
        self._received = b""
        self._wanted = 0  # bytes of the whole answer, 0 until its head has arrived
        self._status = 0
        self._bare = False
        self.request = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class is not derived from it
        if self._waiting:
            self._transport.write(self._waiting)
            self._waiting = b""

    def send(self, number: int, request: bytes) -> None:
        """Send a request, once the connection is open."""
        self.request = number
        if self._transport is None:
            self._waiting = request
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        if not self._wanted:
            end = received.find(_END_OF_HEAD)
            if end < 0:
                return
            self._status = int(received[9:12])
            head = received[:end].lower()
            at = head.find(_LENGTH)
            self._wanted = end + len(_END_OF_HEAD) + int(head[at + len(_LENGTH) :].partition(b"\r")[0])
            self._bare = self._status == 503 and b"\r\nretry-after:" not in head
        if len(received) >= self._wanted:
            number, self.request = self.request, -1
            self._received, self._wanted = b"", 0
            self._sender.take_answer(self, number, self._status, self._bare)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._transport = None
        self._sender.lose(self)

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class Sender:
    """Sends requests over as many connections as necessary, and records the result of every request."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        times: list[float],
        connections: int,
        limit: int,
        patience: float,
    ) -> None:
        """Take the requests, which are sent in order and repeatedly, and the sending times in seconds, in rising order.

        `connections` are opened beforehand, and at most `limit` in all. A request that waits for a connection for
        `patience` seconds is given up.
        """
        self._port = port
        self._requests = requests
        self._connections = connections
        self._limit = limit
        self._patience = patience
        self.times = times
        count = len(self.times)
        self.sent = [float("inf")] * count
        self.done = [float("inf")] * count
        self.statuses = [LOST] * count
        self.bare = 0
        self.held: set[int] = set()
        self._next = 0
        self._free: deque[_Connection] = deque()  # first in, first out, because the server closes idle connections
        self._held: deque[int] = deque()
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self.most_open = 0
        self._unanswered = 0
        self._finished = asyncio.Event()
        self._zero = 0.0

    async def run(self, seconds: float) -> None:
        """Open the connections, send everything, and wait for the answers, at most `seconds` in all."""
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            connection = _Connection(self)
            await loop.create_connection(lambda made=connection: made, HOST, self._port)  # type: ignore[misc]
            self._open.add(connection)
            self._free.append(connection)
        timer = _Timer()
        gc.collect()
        gc.disable()  # a pause would count as the server's latency
        self._zero = time.perf_counter()
        loop.add_reader(timer.descriptor, self._tick, timer)
        timer.start(self.times[0])
        try:
            await asyncio.wait_for(self._finished.wait(), seconds)
        except TimeoutError:
            pass  # unanswered requests are lost
        finally:
            loop.remove_reader(timer.descriptor)
            os.close(timer.descriptor)
            for connection in list(self._open):
                connection.close()

    def take_answer(self, connection: _Connection, number: int, status: int, bare: bool) -> None:
        """Record an answer, and give the connection to the request that has waited longest for one."""
        self.done[number] = time.perf_counter() - self._zero
        self.statuses[number] = status
        self.bare += bare
        while self._held and self.times[self._held[0]] + self._patience < self.done[number]:
            self._held.popleft()
        if self._held and self._next < len(self.times):
            held = self._held.popleft()
            self.sent[held] = self.done[number]
            connection.send(held, self._requests[held % len(self._requests)])
        else:
            self._free.append(connection)
            self._leave()

    def lose(self, connection: _Connection) -> None:
        """Remove a closed connection; its unanswered request is lost."""
        self._open.discard(connection)
        if connection.request >= 0:
            connection.request = -1
            self._leave()
        elif connection in self._free:
            self._free.remove(connection)

    def _tick(self, timer: _Timer) -> None:
        os.read(timer.descriptor, 8)
        now = time.perf_counter() - self._zero
        times, count = self.times, len(self.times)
        while self._next < count and times[self._next] <= now:
            number = self._next
            self._next += 1
            if self._free:
                connection = self._free.popleft()
            elif len(self._open) < self._limit:
                connection = self._connect()
            else:
                self._held.append(number)
                self.held.add(number)
                continue
            self._unanswered += 1
            self.sent[number] = now
            connection.send(number, self._requests[number % len(self._requests)])
        if self._next < count:
            timer.start(times[self._next] - (time.perf_counter() - self._zero))

    def _connect(self) -> _Connection:
        connection = _Connection(self)
        self._open.add(connection)
        self.most_open = max(self.most_open, len(self._open))
        task = asyncio.get_running_loop().create_task(self._open_later(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return connection

    async def _open_later(self, connection: _Connection) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, HOST, self._port)
        except OSError:
            self.lose(connection)

    def _leave(self) -> None:
        self._unanswered -= 1
        if self._next == len(self.times) and not self._unanswered:
            self._finished.set()
