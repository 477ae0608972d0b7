"""The share of a model's steps that is padding, for real reviews and several ways to choose the length.

Belongs to `engine`, and imports `app.runtime.batcher`.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.batcher import Batcher
from app.runtime.pace import LoopTime
from app.runtime.repository import INLINE_SECONDS_OF_A_CORE
from app.telemetry.metrics import ModelMetrics
from benchmarks import results
from bundle.reviews import ReviewCodec
from bundle.rows import Row

_CLIENTS = 32  # each of two processes has 32 of 64 clients
_SECONDS = 600
_SEED = 7


@dataclass(frozen=True)
class Share:
    """The share of padding among the steps of a way, and the mean number of rows in a batch."""

    way: str
    padding: float
    rows: float


class _Engine:
    """Runs no network; records the lengths of the rows of every batch."""

    def __init__(self, batch_rows: int) -> None:
        self.batch_rows = batch_rows
        self.batches: list[list[int]] = []

    def count_steps(self, row: Row) -> int:
        return len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        self.batches.append([len(row) for row in rows])
        return np.zeros((len(rows), 1), np.float32)


def measure_lengths(codec: ReviewCodec, texts: Sequence[str]) -> list[int]:
    """Return the lengths of reviews, in ids."""
    return [len(codec.encode(text).ids) for text in texts]


def describe_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Return mean and percentiles."""
    shares = (5, 25, 50, 75, 95)
    percentiles = {f"p{share}": float(np.percentile(lengths, share)) for share in shares}
    return {"reviews": len(lengths), "mean": round(float(np.mean(lengths)), 1), **percentiles}


def list_shares(lengths: Sequence[int], full: int, batch_rows: int) -> list[Share]:
    """Return the share of padding of every way, with the rows in random order."""
    arrived = random.Random(_SEED).sample(list(lengths), len(lengths))
    in_order = [arrived[at : at + batch_rows] for at in range(0, len(arrived), batch_rows)]
    most = f"the longest row of the batch, at most {batch_rows} rows"
    return [
        Share("the full length", 1 - sum(arrived) / (full * len(arrived)), 1),
        _sum_up(f"{most}, in order of arrival", in_order),
        _sum_up(f"{most}, grouped by the batcher, {_CLIENTS} clients", _group(arrived, batch_rows)),
    ]


def render(shares: Sequence[Share]) -> str:
    """Return the shares as a table in Markdown."""
    rows = [[share.way, f"{share.padding:.1%}", results.format_figure(share.rows)] for share in shares]
    return results.render_table(["length", "padding", "rows in a batch"], rows)


def _sum_up(way: str, batches: Sequence[Sequence[int]]) -> Share:
    real = sum(map(sum, batches))
    run = sum(len(batch) * max(batch) for batch in batches)
    return Share(way, 1 - real / run, round(sum(map(len, batches)) / len(batches), 2))


def _group(lengths: Sequence[int], batch_rows: int) -> list[list[int]]:
    """Return the batches that the service's own queue forms from rows of several clients, each one row at a time."""
    engine = _Engine(batch_rows)

    async def send() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(
                engine, executor, _CLIENTS, LoopTime(INLINE_SECONDS_OF_A_CORE), ModelMetrics("padding", 1)
            )
            arriving = iter(lengths)
            deadline = time.monotonic() + _SECONDS

            async def send_in_turn() -> None:
                for length in arriving:
                    with batcher.admit(1, deadline) as permit:
                        await batcher.run([np.broadcast_to(np.int32(0), length)], permit)

            await asyncio.gather(*(send_in_turn() for _ in range(_CLIENTS)))

    asyncio.run(send())
    return engine.batches
