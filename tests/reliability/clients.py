"""Clients that ask again and again over connections that they keep, as load balancers and libraries do."""

import asyncio
import time
from dataclasses import dataclass

REQUEST = (
    b"POST /sentiment HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
    b'{"text":"good"}'
)


@dataclass(frozen=True)
class Outcome:
    """What came of one request: the time at which it was sent, the status of its answer, or None if there was none."""

    sent_at: float
    status: int | None


async def ask_until(port: int, clients: int, end: asyncio.Event) -> list[Outcome]:
    """Have many clients ask until the event is set; return what came of all their requests."""
    outcomes: list[Outcome] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_ask_until(port, end, outcomes))
    return outcomes


async def _ask_until(port: int, end: asyncio.Event, outcomes: list[Outcome]) -> None:
    """Ask over one connection, and over the next one once the service has closed it."""
    while not end.is_set():
        sent_at = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            outcomes.append(Outcome(sent_at, None))
            return  # nobody listens any more
        is_kept = True
        while is_kept and not end.is_set():
            sent_at = time.monotonic()
            try:
                writer.write(REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
                await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                outcomes.append(Outcome(sent_at, None))
                break
            outcomes.append(Outcome(sent_at, int(head.split()[1])))
            is_kept = b"connection: close" not in lines
        writer.close()
