"""What share of the steps that a model runs is padding, for real reviews and several ways to choose the length.

Belongs to `engine`, and imports `app.batcher`.
"""

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.batcher import Batcher, Row
from app.pace import INLINE_SECONDS_OF_A_CORE, LoopTime
from benchmarks import results
from bundle.reviews import ReviewCodec

_GRID = (64, 128, 256)
_CLIENTS = 32  # of 64, each of two processes has so many
_SECONDS = 600
_SEED = 7


@dataclass(frozen=True)
class Share:
    """Of the steps a way runs, the share that pads rows, and the one of repeated rows that fill batches up.

    `rows` is the mean of those in a batch, None where each counts for itself.
    """

    way: str
    padding: float
    filling: float
    rows: float | None


def measure_lengths(codec: ReviewCodec, texts: Sequence[str]) -> list[int]:
    """Return the lengths of reviews, in ids."""
    return [len(codec.encode(text).ids) for text in texts]


def describe_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Return mean and percentiles."""
    shares = (5, 25, 50, 75, 95)
    percentiles = {f"p{share}": float(np.percentile(lengths, share)) for share in shares}
    return {"reviews": len(lengths), "mean": round(float(np.mean(lengths)), 1), **percentiles}


def list_shares(lengths: Sequence[int], full: int, batch_sizes: Sequence[int]) -> list[Share]:
    """Return the share of padding of every way, the rows in random order."""
    arrived = random.Random(_SEED).sample(list(lengths), len(lengths))
    total, count, most = sum(arrived), len(arrived), batch_sizes[-1]
    grid = [*(size for size in _GRID if size < full), full]
    rounded = sum(next(size for size in grid if size >= length) for length in arrived)
    in_order = [arrived[at : at + most] for at in range(0, count, most)]
    ways = f"the longest row of the batch, {most} rows"
    return [
        Share("the full length", 1 - total / (full * count), 0, None),
        Share(f"a grid of lengths, {', '.join(map(str, grid))}", 1 - total / rounded, 0, None),
        _sum_up(f"{ways} in order of arrival", in_order, batch_sizes),
        _sum_up(f"{ways} grouped by the batcher, {_CLIENTS} clients", _group(arrived, batch_sizes), batch_sizes),
    ]


def _sum_up(way: str, batches: Sequence[Sequence[int]], batch_sizes: Sequence[int]) -> Share:
    real = padded = filled = rows = count = 0
    for batch in batches:
        size = next(size for size in batch_sizes if size >= len(batch))
        real += sum(batch)
        padded += len(batch) * max(batch)
        filled += size * max(batch)
        rows, count = rows + len(batch), count + 1
    return Share(way, (padded - real) / filled, (filled - padded) / filled, round(rows / count, 2))


def _group(lengths: Sequence[int], batch_sizes: Sequence[int]) -> list[list[int]]:
    """Return the batches that the service's own queue makes of rows which as many clients send one after the other."""
    batches: list[list[int]] = []

    def run_nothing(rows: Sequence[Row]) -> NDArray[np.float32]:
        batches.append([len(row) for row in rows])
        return np.zeros((len(rows), 1), np.float32)

    async def send() -> None:
        with ThreadPoolExecutor(1) as executor:
            queue = Batcher(run_nothing, batch_sizes, executor, 1, _CLIENTS, LoopTime(INLINE_SECONDS_OF_A_CORE))
            arriving = iter(lengths)
            deadline = asyncio.get_running_loop().time() + _SECONDS

            async def send_in_turn() -> None:
                for length in arriving:
                    await queue.run([np.broadcast_to(np.int32(0), length)], deadline)

            await asyncio.gather(*(send_in_turn() for _ in range(_CLIENTS)))

    asyncio.run(send())
    return batches


def render(shares: Sequence[Share]) -> str:
    """Return the shares as a table in Markdown."""
    rows = [
        [share.way, f"{share.padding:.1%}", f"{share.filling:.1%}", results.format_figure(share.rows)]
        for share in shares
    ]
    return results.render_table(["length", "padding", "repeated rows", "rows in a batch"], rows)
