"""Clients that send requests, also in processes of their own. So this module imports no other one of the tests."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from app.access.keys import Client, Key
from app.access.rates import Allowance
from app.access.shares import Shares
from app.access.usage import Usage


def make_client(**limits: float) -> Client:
    key = Key(sha256="0" * 64, created=datetime.now(UTC))
    return Client.model_validate({"name": "web", "scopes": ("predict",), "keys": (key,), **limits})


def ask(shares: Shares, client: Client, texts: int = 0) -> list[Allowance]:
    """Count a request with texts; return the last allowance of each limit, or the one that was refused."""
    allowances = shares.take_request(client)
    if not allowances[-1].is_granted:
        return allowances[-1:]
    if texts and client.texts_per_day:
        allowances[0], _ = shares.take_texts(client, client.texts_per_day, texts)
    return allowances if allowances[0].is_granted else allowances[:1]


def flood(
    folder: Path, client: Client, seconds: float, ready: Barrier, results: "Queue[tuple[int, float, float]]"
) -> None:
    """Send requests with three texts for some seconds; put how many were granted, the begin and the end."""

    async def send() -> None:
        shares = Shares(Usage(folder))
        ready.wait()
        granted, begin = 0, time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            for _ in range(20):
                granted += ask(shares, client, texts=3)[-1].is_granted
            await asyncio.sleep(0)
        shares.close()
        results.put((granted, begin, now))

    asyncio.run(send())


def take_share_and_die(folder: Path, client: Client) -> None:
    """Take shares, and die with them."""

    async def send() -> None:
        shares = Shares(Usage(folder))
        for _ in range(200):
            ask(shares, client, texts=1)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(send())
