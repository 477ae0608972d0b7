"""Shares of limits, with several users of one folder as processes are, and with real processes."""

import asyncio
import contextlib
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.access.keys import Client
from app.access.rates import DAY_SECONDS, PERIOD_SECONDS
from app.access.shares import MOST_REQUESTS, PART, SHARE_SECONDS, Shares
from app.access.usage import Record, Usage
from tests.app.access.senders import ask, flood, make_client, take_share_and_die
from tests.app.conftest import Log
from tests.conftest import SECONDS

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0
MIDNIGHT = 20_000 * DAY_SECONDS
QUOTA = 20_000
PROCESSES = 3


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


BUSY = make_client(requests_per_second=1000, burst=50_000, texts_per_day=QUOTA)


class Processes:
    """Users of one folder, with clocks that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.wall = float(MIDNIGHT)
        self._usage = Usage(folder)

    def start(self) -> Shares:
        """Start one."""
        return Shares(Usage(self.folder), lambda: self.now, lambda: self.wall)

    @property
    def record(self) -> Record:
        """The record of the client."""
        with self._usage.lock("web") as record:
            return record

    def close(self) -> None:
        self._usage.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "usage")
    yield processes
    processes.close()


def count_granted(shares: Shares, client: Client, texts: int = 0) -> int:
    """Send requests until one is refused, and return how many were granted."""
    granted = 0
    while ask(shares, client, texts)[-1].is_granted:
        granted += 1
    return granted


async def test_a_client_that_sends_slowly_is_counted_one_by_one(processes: Processes) -> None:
    shares = [processes.start() for _ in range(2)]
    for sent in range(1, 100):
        ask(shares[sent % 2], BUSY, texts=3)
        assert processes.record.texts == 3 * sent and processes.record.held == 0
        processes.now += SHARE_SECONDS / 2  # of the service; in each process twice as long


@pytest.mark.parametrize(
    "limits",
    [
        {"requests_per_second": 1000.0, "burst": 50_000},
        {"requests_per_second": 1000.0, "burst": 50_000, "texts_per_day": 10**6},
    ],
)
async def test_the_shares_of_a_busy_client_double_up_to_the_largest(
    processes: Processes, limits: dict[str, float]
) -> None:
    shares, client = processes.start(), make_client(**limits)
    held = [0]
    for sent in range(1, 500):
        ask(shares, client, texts=1)
        record = processes.record
        if record.held != held[-1]:
            held.append(record.held)
        assert 0 <= record.requests - sent <= record.held
        if client.texts_per_day:
            assert 0 <= record.texts - sent <= MOST_REQUESTS
    assert held == [0, 1, 3, 7, 15, 31, MOST_REQUESTS - 1]


async def test_a_share_has_the_texts_that_the_latest_requests_had(processes: Processes) -> None:
    shares, client = processes.start(), make_client(texts_per_day=10**6)
    for texts in (5, 50):
        before = processes.record.texts
        for _ in range(500):
            ask(shares, client, texts)
        taken = processes.record.texts
        assert 0 <= taken - before - 500 * texts <= texts * MOST_REQUESTS
        for _ in range(10):
            ask(shares, client, texts)
        assert processes.record.texts == taken  # most requests do not need the record
        shares.close()
        assert processes.record.texts == before + 510 * texts


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        ({"requests_per_second": 0.01, "burst": 400}, 0),
        ({"texts_per_day": 400}, 1),
        ({"requests_per_second": 0.01, "burst": 500, "texts_per_day": 400}, 1),
        ({"requests_per_second": 0.01, "burst": 400, "texts_per_day": 900}, 1),
    ],
)
async def test_one_process_grants_exactly_the_limit_and_says_what_is_left(
    processes: Processes, limits: dict[str, float], texts: int
) -> None:
    shares, client = processes.start(), make_client(**limits)
    for left in reversed(range(400)):
        allowances = ask(shares, client, texts)
        assert all(allowance.is_granted for allowance in allowances)
        assert min(allowance.left for allowance in allowances) == left
        if allowances[-1].name == "rate":
            assert allowances[-1].seconds == pytest.approx((allowances[-1].quota - allowances[-1].left) / 0.01)
        if allowances[0].name == "day":
            assert allowances[0].seconds == DAY_SECONDS
    (refused,) = ask(shares, client, texts)
    assert not refused.is_granted and refused.left == 0
    assert refused.seconds == pytest.approx(DAY_SECONDS if refused.name == "day" else 100)


async def test_no_share_has_more_than_its_part_of_what_is_left(processes: Processes) -> None:
    shares = [processes.start() for _ in range(PROCESSES)]
    client = make_client(requests_per_second=0.01, burst=1000, texts_per_day=1000)
    sent = 0
    while ask(shares[sent % PROCESSES], client, texts=1)[-1].is_granted:
        sent += 1
        most = PROCESSES * min(MOST_REQUESTS, (1000 - sent) // PART + 1)
        assert sent <= processes.record.requests <= sent + most
        assert sent <= processes.record.texts <= sent + most
    assert sent >= 1000 - (PROCESSES - 1) * MOST_REQUESTS
    for one in shares:
        one.close()
    assert count_granted(processes.start(), client, texts=1) == 1000 - sent  # what was refused too early is there again


async def test_a_refused_request_is_told_when_the_record_has_one_again(processes: Processes) -> None:
    shares, other = processes.start(), processes.start()
    client = make_client(requests_per_second=10, burst=500)
    for _ in range(20):
        ask(other, client)
    count_granted(shares, client)
    (refused,) = ask(shares, client)
    assert 0 < refused.seconds <= 0.1 and refused.left == 0
    processes.now += refused.seconds + 1e-6
    assert ask(shares, client)[-1].is_granted
    assert not ask(shares, client)[-1].is_granted


async def test_what_is_not_used_returns_after_a_pause(tmp_path: Path) -> None:
    usage, shares = Usage(tmp_path), Shares(Usage(tmp_path))
    client = make_client(requests_per_second=0.001, burst=10_000, texts_per_day=10**6)
    for _ in range(3):  # the timer starts again
        for _ in range(100):
            ask(shares, client, texts=2)
        with usage.lock("web") as record:
            assert record.requests > 100
        end = time.monotonic() + SECONDS
        while record.held or record.held_before:
            assert time.monotonic() < end
            await asyncio.sleep(SHARE_SECONDS / 10)
            with usage.lock("web") as record:
                pass
    assert record.texts == 600
    assert 299.9 < record.requests <= 300
    shares.close()
    usage.close()


async def test_a_share_stays_as_long_as_it_is_young(processes: Processes) -> None:
    shares = processes.start()
    for _ in range(10):
        ask(shares, BUSY, texts=1)
    taken = processes.record
    await asyncio.sleep(2.5 * SHARE_SECONDS)  # the clock of the shares has not moved
    assert processes.record == taken
    processes.now += 2 * SHARE_SECONDS
    end = time.monotonic() + SECONDS
    while processes.record.texts > 10:
        assert time.monotonic() < end
        await asyncio.sleep(SHARE_SECONDS / 10)
    shares.close()


async def test_closing_returns_what_is_not_used(processes: Processes) -> None:
    shares = processes.start()
    shares.close()  # nothing is held
    for _ in range(100):
        ask(shares, BUSY, texts=1)
    assert processes.record.texts > 100 and processes.record.requests > 100
    shares.close()
    assert (processes.record.texts, processes.record.requests, processes.record.held) == (100, 100, 0)


async def test_a_returned_share_does_not_make_the_burst_overfull(processes: Processes) -> None:
    client = make_client(requests_per_second=1000, burst=2000)
    shares = processes.start()
    for _ in range(65):
        ask(shares, client)
    assert processes.record.held == 63
    processes.now += 0.2  # what was used before the share is there again
    shares.close()
    assert count_granted(processes.start(), client) == 2000 - 1


async def test_held_requests_are_not_there_a_second_time(processes: Processes) -> None:
    client = make_client(requests_per_second=1000, burst=2000)
    holding, other = processes.start(), processes.start()
    for _ in range(64):
        ask(holding, client)  # the next one begins a share of 63
    processes.now += SHARE_SECONDS / 2
    ask(holding, client)
    processes.now += 2  # nothing is held any more: its time is over
    for _ in range(64):
        ask(holding, client)
    processes.now = (processes.now // PERIOD_SECONDS + 1) * PERIOD_SECONDS
    for _ in range(66):
        ask(holding, client)
    processes.now += 1.9 * PERIOD_SECONDS
    held = processes.record.held
    granted = count_granted(other, client)
    assert held > 0 and granted >= 2000 - held
    assert granted + count_granted(holding, client) <= 2000


async def test_a_share_is_not_used_after_its_time(processes: Processes) -> None:
    client = make_client(requests_per_second=1000, burst=2000)
    holding, other = processes.start(), processes.start()
    for _ in range(65):
        ask(holding, client)
    processes.now += 3 * PERIOD_SECONDS  # nothing has run since, so no timer either
    assert count_granted(other, client) == 2000 - 63  # which come back from now on
    processes.now += 0.063 + 1e-6
    assert count_granted(other, client) == 63
    assert not ask(holding, client)[-1].is_granted
    processes.now += 3 * PERIOD_SECONDS
    holding.close()
    assert count_granted(other, client) == 750


async def test_a_new_day_begins_with_its_whole_quota(processes: Processes) -> None:
    processes.wall = MIDNIGHT - 0.05
    client = make_client(texts_per_day=1000)
    shares, idle = processes.start(), processes.start()
    for one in (shares, idle):
        for _ in range(20):
            (allowance,) = ask(one, client, texts=2)
    assert allowance.seconds == pytest.approx(0.05)
    taken = processes.record.texts
    processes.wall = MIDNIGHT - 0.01
    (allowance,) = ask(shares, client, texts=1)
    assert processes.record.texts == taken and allowance.seconds == pytest.approx(0.01)
    for one in (shares, idle):
        one.take_request(client)
    processes.wall = MIDNIGHT
    allowance, day = shares.take_texts(client, 1000, 1)
    assert allowance.left == 999 and allowance.seconds == DAY_SECONDS and day == MIDNIGHT // DAY_SECONDS
    (allowance,) = ask(shares, client, texts=1)
    assert allowance.left == 998
    idle.close()  # its texts are of the day before
    shares.close()
    assert processes.record.texts == 2


async def test_texts_that_were_not_judged_are_there_again(processes: Processes) -> None:
    shares = processes.start()
    for _ in range(100):
        ask(shares, BUSY, texts=4)
    shares.take_request(BUSY)
    _, day = shares.take_texts(BUSY, QUOTA, 10)
    assert shares.return_texts(BUSY, QUOTA, 7, day).left == QUOTA - 403
    assert processes.record.texts == 403
    assert shares.return_texts(BUSY, QUOTA, 3, day).left == QUOTA - 400
    shares.close()
    assert (processes.record.texts, processes.record.requests) == (400, 101)


async def test_a_request_with_more_texts_than_the_share_is_counted_exactly(processes: Processes) -> None:
    client = make_client(requests_per_second=0.01, burst=50_000, texts_per_day=2000)
    shares = processes.start()
    for _ in range(100):
        ask(shares, client, texts=1)
    shares.take_request(client)
    allowance, _ = shares.take_texts(client, 2000, 1000)
    assert allowance.is_granted and allowance.left == 900
    shares.take_request(client)
    allowance, _ = shares.take_texts(client, 2000, 901)
    assert not allowance.is_granted and allowance.left == 900
    assert shares.take_texts(client, 2000, 900)[0].left == 0
    (refused,) = ask(shares, client)
    assert refused.name == "day" and not refused.is_granted
    shares.close()
    assert (processes.record.texts, processes.record.requests) == (2000, 102)


async def test_changed_limits_hold_at_once(processes: Processes) -> None:
    shares = processes.start()
    for _ in range(100):
        ask(shares, BUSY, texts=1)
    less = make_client(requests_per_second=1000, burst=150, texts_per_day=140)
    quota, rate = ask(shares, less, texts=1)
    assert (quota.left, rate.left) == (39, 49)
    assert processes.record.held == 0
    allowance, _ = shares.take_texts(BUSY, QUOTA, 1)  # of a request that began before
    assert allowance.left == QUOTA - 102
    assert count_granted(shares, less, texts=1) == 38
    unlimited = make_client(texts_per_day=200)
    assert ask(shares, unlimited, texts=1)[0].left == 59
    shares.close()


async def test_without_the_file_the_shares_go_on(processes: Processes, log: Log) -> None:
    shares = processes.start()
    for _ in range(100):
        ask(shares, BUSY, texts=1)
    shutil.rmtree(processes.folder)
    for _ in range(100):
        quota, _ = ask(shares, BUSY, texts=1)
    assert quota.left == QUOTA - 200
    shutil.rmtree(processes.folder)
    processes.folder.touch()
    for _ in range(100):
        quota, _ = ask(shares, BUSY, texts=1)
    assert quota.left == QUOTA - 300
    assert log.wait_for(level="ERROR")["message"].startswith("each process counts the client web alone")
    processes.folder.unlink()
    shares.close()
    assert processes.record.texts == 300


@dataclass(frozen=True)
class Step:
    """What one process does after a pause."""

    process: int
    pause: float
    requests: int
    is_killed: bool


STEPS = st.lists(
    st.builds(
        Step,
        process=st.integers(0, PROCESSES - 1),
        pause=st.one_of(st.just(0.0), st.floats(0, 0.05), st.floats(0, 1)),
        requests=st.integers(1, 200),
        is_killed=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=50)
@given(rate=st.floats(0.1, 5000), burst=st.integers(1, 2000), steps=STEPS, end=st.floats(0, 1))
def test_in_no_time_more_is_granted_than_the_limits_allow(
    rate: float, burst: int, steps: list[Step], end: float
) -> None:
    async def send() -> None:
        with TemporaryDirectory() as folder, contextlib.closing(Processes(Path(folder))) as processes:
            client = make_client(requests_per_second=rate, burst=burst)
            shares = [processes.start() for _ in range(PROCESSES)]
            used, used_at = 0.0, NOW  # of a burst without shares
            for step in [*steps, *(Step(place, end, 3000, False) for place in range(PROCESSES))]:
                processes.now += step.pause
                used, used_at = max(0.0, used - rate * (processes.now - used_at)), processes.now
                granted = sum(ask(shares[step.process], client)[-1].is_granted for _ in range(step.requests))
                used += granted
                assert used <= burst + 0.001
                if granted < step.requests:  # others hold the rest, and killed ones held it
                    assert used > burst - 1 - 0.001 - (len(steps) + PROCESSES) * min(MOST_REQUESTS, burst // PART)
                if step.is_killed:
                    shares[step.process] = processes.start()

    asyncio.run(send())


@pytest.mark.parametrize(
    ("client", "rate", "most"),
    [
        (make_client(requests_per_second=1000, burst=3000), 1000, 3000),
        (make_client(texts_per_day=9000), 0, 3000),
        (make_client(requests_per_second=100_000, texts_per_day=9000), 0, 3000),
    ],
)
def test_real_processes_get_the_limit_together(tmp_path: Path, client: Client, rate: int, most: int) -> None:
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(PROCESSES), context.Queue()
    started = [context.Process(target=flood, args=[tmp_path, client, 1.5, ready, results]) for _ in range(PROCESSES)]
    for process in started:
        process.start()
    counts, begins, ends = zip(*(results.get(timeout=SECONDS) for _ in started), strict=True)
    for process in started:
        process.join(SECONDS)
    assert sum(counts) <= most + rate * (max(ends) + 0.1 - min(begins))
    assert sum(counts) >= most + rate * (min(ends) - max(begins)) - PROCESSES * MOST_REQUESTS


async def test_a_killed_process_loses_no_more_than_its_share(tmp_path: Path) -> None:
    client = make_client(requests_per_second=0.001, burst=2000, texts_per_day=2000)
    process = multiprocessing.get_context("spawn").Process(target=take_share_and_die, args=[tmp_path, client])
    process.start()
    process.join(SECONDS)
    assert process.exitcode == -signal.SIGKILL
    shares = Shares(Usage(tmp_path))
    assert 1800 - MOST_REQUESTS <= count_granted(shares, client, texts=1) < 1800
    shares.close()
