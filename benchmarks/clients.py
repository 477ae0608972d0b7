"""Clients that ask the service all the time: half of them over kept connections, half over a new one each time."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.servers import HOST

REQUEST = (
    b"POST /sentiment HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
    b'{"text":"good"}'
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: when it was sent, the status of its answer, or None without one, and its seconds."""

    sent_at: float
    status: int | None
    seconds: float = 0.0


async def ask_until(port: int, clients: int, end: asyncio.Event) -> list[Outcome]:
    """Have clients ask until the event is set or nobody listens; return the outcomes of all their requests."""
    outcomes: list[Outcome] = []
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_ask_until(port, end, outcomes, keeps=number % 2 == 0))
    return outcomes


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes = REQUEST) -> tuple[int, bool]:
    """Send one request; return the status of its answer, and whether the service keeps the connection open.

    Raises:
        OSError: the connection is closed before or while the answer comes.
        asyncio.IncompleteReadError: the same.
    """
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(head.split()[1]), b"connection: close" not in lines


async def _ask_until(port: int, end: asyncio.Event, outcomes: list[Outcome], keeps: bool) -> None:
    """Ask over one connection after the other; the next one when the service, or this client, has closed the last."""
    while not end.is_set():
        sent_at = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            outcomes.append(Outcome(sent_at, None))
            return  # nobody listens
        is_open = True
        while is_open and not end.is_set():
            try:
                status, is_kept = await ask(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                outcomes.append(Outcome(sent_at, None))
                break
            answered_at = time.monotonic()
            outcomes.append(Outcome(sent_at, status, answered_at - sent_at))
            is_open = keeps and is_kept
            sent_at = answered_at
        writer.close()
