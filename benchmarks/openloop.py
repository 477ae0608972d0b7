"""An open-loop load: requests are sent at planned times, whether or not earlier requests are answered.

Runs in a process of its own, `python -m benchmarks.openloop`, with an `Order` in JSON on its standard input and the
`Load` in JSON on its standard output. Latency counts from the planned time of sending, so that a slow server cannot
hide requests that were sent late or never (Tene, "How NOT to Measure Latency": coordinated omission).
"""

import json
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.sender import LOST, Sender
from benchmarks.servers import HOST, ServerError

_DRAIN_SECONDS = 15  # wait for answers after the last request was sent
_REQUESTS = 1_000_000  # limit of an order


@dataclass(frozen=True)
class Order:
    """A load to send: the bodies in a file, one per line, in order and repeatedly, at `rate` per second for `seconds`.

    `warm_up` is the number of first seconds that count only for `lost`; `deadline` is the longest useful latency, in
    seconds. `connections` are opened beforehand. If all are waiting for an answer, more are opened, up to `limit` in
    all. Past that a request waits for a connection, which counts as latency, and is given up at its deadline.
    """

    port: int
    path: str
    bodies: str
    rate: float
    seconds: float
    warm_up: float = 1
    deadline: float = 5
    connections: int = 256
    limit: int = 8000
    seed: int = 7


@dataclass(frozen=True)
class Load:
    """The result of an order after its warm-up; rates per second, latencies in milliseconds from the planned sending.

    `goodput` counts the answers of 200 to 299 within the deadline by the time of the answer. `accepted`, `statuses` and
    the latencies (of accepted requests) count requests by their planned time. `p99_from_sending` excludes the wait for
    a connection. `lost` requests were sent and got no answer; `held` requests waited for a connection, `unsent`
    requests until the end; `bare` requests got 503 without Retry-After. `late_p99` is the delay of sending for requests
    that were not held; `core` is the share of one processor core that this load took.
    """

    sent: float
    goodput: float
    requests: int
    accepted: int
    statuses: dict[str, int]
    p50: float | None
    p99: float | None
    p99_from_sending: float | None
    lost: int
    held: int
    unsent: int
    bare: int
    late_p99: float | None
    connections: int
    core: float


def run(order: Order) -> Load:
    """Send an order from a process of its own.

    Raises:
        ServerError: the server cannot be reached, the process fails or does not end, or the order is too large.
    """
    if order.rate * order.seconds > _REQUESTS:
        raise ServerError(
            f"{order.rate:,.0f} requests a second for {order.seconds} s are more than {_REQUESTS:,}; use less time"
        )
    command = [sys.executable, "-m", "benchmarks.openloop"]
    limit = order.seconds + _DRAIN_SECONDS + 30
    try:
        ended = subprocess.run(
            command, input=json.dumps(asdict(order)), capture_output=True, text=True, check=True, timeout=limit
        )
    except subprocess.CalledProcessError as error:
        raise ServerError(f"the load failed: {error.stderr.strip()}") from error
    return Load(**json.loads(ended.stdout))


def _plan(order: Order) -> list[float]:
    """Return the sending time of each request, in seconds from the start, in rising order."""
    count = round(order.rate * order.seconds)
    # For a given count, the times of a Poisson process are uniformly distributed.
    times: list[float] = np.sort(np.random.default_rng(order.seed).uniform(0, order.seconds, count)).tolist()
    return times


def _read_requests(order: Order) -> list[bytes]:
    head = f"POST {order.path} HTTP/1.1\r\nhost: {HOST}:{order.port}\r\ncontent-type: application/json\r\n"
    bodies = Path(order.bodies).read_bytes().splitlines()
    return [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def _summarise(order: Order, sender: Sender, core: float) -> Load:
    times, sent, done = (np.array(column) for column in (sender.times, sender.sent, sender.done))
    statuses = np.array(sender.statuses)
    seconds = order.seconds - order.warm_up
    latencies = done - times
    is_good = (statuses >= 200) & (statuses < 300) & (latencies <= order.deadline)
    counted = times >= order.warm_up
    is_accepted = counted & (statuses >= 200) & (statuses < 300)
    accepted = 1000 * latencies[is_accepted]
    was_sent = np.isfinite(sent)
    in_time = (sent >= order.warm_up) & (sent < order.seconds)
    was_held = np.isin(np.arange(len(times)), list(sender.held))
    lateness = 1000 * (sent - times)[counted & was_sent & ~was_held]
    return Load(
        sent=round(float(in_time.sum() / seconds), 2),
        goodput=round(float((is_good & (done >= order.warm_up) & (done < order.seconds)).sum() / seconds), 2),
        requests=int(counted.sum()),
        accepted=len(accepted),
        statuses={str(k): n for k, n in sorted(Counter(statuses[counted & was_sent].tolist()).items()) if k != LOST},
        p50=_percentile(accepted, 50),
        p99=_percentile(accepted, 99),
        p99_from_sending=_percentile(1000 * (done - sent)[is_accepted], 99),
        lost=int((was_sent & (statuses == LOST)).sum()),
        held=int(was_held.sum()),
        unsent=int((~was_sent).sum()),
        bare=sender.bare,
        late_p99=_percentile(lateness, 99),
        connections=max(order.connections, sender.most_open),
        core=round(core, 3),
    )


def _percentile(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float) -> float | None:
    return round(float(np.percentile(values, share)), 3) if len(values) else None


async def _send(order: Order) -> Load:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is an open file
    sender = Sender(order.port, _read_requests(order), _plan(order), order.connections, order.limit, order.deadline)
    started, used = time.perf_counter(), time.process_time()
    await sender.run(order.seconds + _DRAIN_SECONDS)
    return _summarise(order, sender, (time.process_time() - used) / (time.perf_counter() - started))


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_send(Order(**json.load(sys.stdin)))))))
