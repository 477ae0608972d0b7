import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import openloop
from benchmarks.openloop import Order
from benchmarks.servers import HOST
from tests.conftest import SECONDS

# What each of four requests in turn is answered with; nothing is a connection that is closed.
ANSWERS = {
    b"0": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"1": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"2": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    b"3": b"",
}
BODIES = "\n".join(json.dumps(number) for number in range(4))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while answered := ANSWERS[(await reader.readuntil(b"\r\n\r\n"), await reader.readexactly(1))[1]]:
            writer.write(answered[:20])
            await writer.drain()
            writer.write(answered[20:])
    except asyncio.IncompleteReadError:
        pass  # the load has ended
    finally:
        writer.close()


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server that gives the answers above."""
    loop, ending = asyncio.new_event_loop(), asyncio.Event()
    server = loop.run_until_complete(asyncio.start_server(answer, HOST))

    async def serve() -> None:
        async with server:
            await ending.wait()

    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(loop.run_until_complete, serve())
        yield server.sockets[0].getsockname()[1]
        loop.call_soon_threadsafe(ending.set)
        serving.result(SECONDS)
    loop.close()


def test_every_request_is_counted_by_what_came_of_it(port: int, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies"
    bodies.write_text(BODIES)
    order = Order(port, "/", str(bodies), rate=200, seconds=2, warm_up=0, connections=2)
    load = openloop.run(order)
    assert (load.requests, load.accepted, load.lost, load.bare, load.unsent) == (400, 100, 100, 100, 0)
    assert load.statuses == {"200": 100, "503": 200}
    assert 0 < load.goodput <= 50
    assert load.p50 is not None and load.p99 is not None and load.p99_from_sending is not None
    assert 0 < load.p50 <= load.p99
    assert 0 < load.p99_from_sending <= load.p99


def test_what_waits_for_a_connection_past_its_deadline_is_given_up(port: int, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies"
    bodies.write_text(BODIES.splitlines()[0])
    # One connection can have no request that is planned within the time of another.
    order = Order(port, "/", str(bodies), 20_000, seconds=0.5, warm_up=0, deadline=0, connections=1, limit=1)
    load = openloop.run(order)
    assert (load.requests, load.connections, load.lost) == (10_000, 1, 0)
    assert load.held == load.unsent > 0
    assert load.accepted == load.requests - load.unsent > 0
