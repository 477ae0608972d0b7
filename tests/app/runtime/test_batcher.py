"""The batcher, with an engine that waits for a signal and a clock that tests move: nothing depends on the machine."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue

import numpy as np
import pytest
from numpy.typing import NDArray

from app.access.caller import Caller
from app.access.keys import Client, Key
from app.access.shares import Shares
from app.access.usage import Usage
from app.errors import DeadlineError, OverloadedError, QuotaExceededError
from app.runtime.batcher import MOST_INLINE_SECONDS, Batcher
from app.runtime.pace import LoopTime
from app.runtime.queue import CANDIDATES
from app.telemetry import metrics
from app.telemetry.metrics import ModelMetrics
from app.telemetry.traces import Part, Parts, begin_parts
from bundle.rows import Row
from tests.conftest import SECONDS

LARGEST = 16

pytestmark = pytest.mark.anyio


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """Answers a row with its length and its first number, each batch once it is let through."""

    batch_rows = LARGEST

    def __init__(self, clock: Clock) -> None:
        self.batches: list[list[int]] = []  # the first number of every row
        self.lengths: list[list[int]] = []
        self.threads: list[int] = []
        self.failing: set[int] = set()
        self.losing: set[int] = set()
        self.seconds = 0.0  # that a batch takes on the clock
        self.real_seconds = 0.0
        self._clock = clock
        self._started: SimpleQueue[None] = SimpleQueue()
        self._let_through = threading.Semaphore(0)

    def count_steps(self, row: Row) -> int:
        return len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        numbers = [int(row[0]) for row in rows]
        self.batches.append(numbers)
        self.lengths.append([len(row) for row in rows])
        self.threads.append(threading.get_ident())
        self._started.put(None)
        assert self._let_through.acquire(timeout=SECONDS)
        self._clock.now += self.seconds
        time.sleep(self.real_seconds)
        if self.failing & set(numbers):
            raise RuntimeError("no answer")
        return np.array([[len(row), row[0]] for row in rows if row[0] not in self.losing], np.float32)

    def release(self, batches: int = 1000) -> None:
        """Let batches through."""
        self._let_through.release(batches)

    async def let_through(self, batches: int = 1000) -> None:
        """Let batches through, once every request is queued."""
        await settle()
        self.release(batches)

    async def started(self) -> None:
        """Wait until one more batch has begun."""
        await asyncio.to_thread(self._started.get, timeout=SECONDS)


class Setting:
    """What a test works with."""

    def __init__(self, executor: ThreadPoolExecutor, capacity: int, inline_seconds: float) -> None:
        self.clock = Clock()
        self.engine = Engine(self.clock)
        self.loop_time = LoopTime(inline_seconds)
        self.batcher = Batcher(self.engine, executor, capacity, self.loop_time, ModelMetrics("batcher", 1), self.clock)
        self.executor = executor

    def ask(self, *rows: Row, seconds: float = SECONDS) -> "asyncio.Task[NDArray[np.float32]]":
        """Queue a request, whose answer the task returns."""

        async def answer() -> NDArray[np.float32]:
            with self.batcher.admit(len(rows), self.clock.now + seconds) as permit:
                return np.stack(await self.batcher.run(rows, permit))

        return asyncio.ensure_future(answer())

    async def run_first_batch(self) -> None:
        """Run row 8 alone; the time of batches is known then. All others are let through, too."""
        self.engine.seconds = 0.001
        await self.engine.let_through()
        await self.ask(row(8))

    async def occupy(self) -> "asyncio.Task[NDArray[np.float32]]":
        """Make the engine busy with row 0."""
        first = self.ask(row(0))
        await self.engine.started()
        return first


def row(number: int, length: int = 10) -> Row:
    return np.full(length, number, np.int32)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


Make = Callable[..., Setting]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of the service."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def make() -> Iterator[Make]:
    """A function that returns what a test works with."""
    with ThreadPoolExecutor(1) as executor:
        made: list[Setting] = []

        def make(capacity: int = 100, inline_seconds: float = 0) -> Setting:
            made.append(Setting(executor, capacity, inline_seconds))
            return made[-1]

        yield make
        for setting in made:
            setting.engine.release()


async def test_an_idle_engine_runs_a_request_at_once(make: Make) -> None:
    to = make()
    await to.engine.let_through()
    outputs = await to.ask(row(7, 3))
    assert outputs.tolist() == [[3, 7]]
    assert to.engine.batches == [[7]]


async def test_requests_that_arrive_one_after_the_other_run_together(make: Make) -> None:
    to = make()
    await to.engine.let_through()
    asked = []
    for number in range(4, 8):
        asked.append(to.ask(row(number)))
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    assert to.engine.batches == [[4, 5, 6, 7]]


async def test_requests_gather_while_the_engine_is_busy(make: Make) -> None:
    to = make()
    first = await to.occupy()
    others = [to.ask(row(number)) for number in range(1, 17)]
    await settle()
    assert to.engine.batches == [[0]]
    await to.engine.let_through()
    await asyncio.gather(first, *others)
    assert to.engine.batches == [[0], list(range(1, 17))]


async def test_requests_that_keep_coming_do_not_keep_the_engine_idle(make: Make) -> None:
    to = make(capacity=10 * CANDIDATES)
    asked: list[asyncio.Task[NDArray[np.float32]]] = []
    while not to.engine.batches and len(asked) < 10 * CANDIDATES:
        asked.append(to.ask(row(1)))
        await asyncio.sleep(0)
        await asyncio.to_thread(int)  # the engine may begin
    assert len(asked) <= CANDIDATES
    await to.engine.let_through()
    await asyncio.gather(*asked)


async def test_enough_rows_to_choose_from_do_not_wait_for_more(make: Make) -> None:
    to = make()
    asked = [to.ask(*map(row, range(CANDIDATES)))]
    for _ in range(4):
        asked.append(to.ask(row(1)))
        await asyncio.sleep(0)
    await to.engine.started()
    assert len(to.engine.batches[0]) == LARGEST
    await to.engine.let_through()
    await asyncio.gather(*asked)


async def test_every_row_gets_its_own_answer_in_the_order_of_its_request(make: Make) -> None:
    to = make()
    first = await to.occupy()
    lengths = [[5, 300, 6], [7], [301, 8, 9, 302]]
    asked = [to.ask(*(row(length, length) for length in request)) for request in lengths]
    await to.engine.let_through()
    for request, task in zip(lengths, asked, strict=True):
        assert (await task).tolist() == [[length, length] for length in request]
    await first


async def test_a_long_row_is_not_starved_by_short_ones_that_keep_coming(make: Make) -> None:
    to = make()
    first = await to.occupy()
    others = [to.ask(row(1)) for _ in range(4)] + [to.ask(row(2, 500))]
    for number in range(3):
        others += [to.ask(row(3)) for _ in range(4)]
        await settle()
        await to.engine.let_through(1)
        await to.engine.started()
        assert ([2] in to.engine.batches) == (number > 0)
    await to.engine.let_through()
    await asyncio.gather(first, *others)


async def test_a_full_queue_refuses_and_keeps_what_it_has(make: Make) -> None:
    to = make(capacity=4)
    first = await to.occupy()
    waiting = [to.ask(row(number)) for number in range(1, 4)]
    await settle()
    with pytest.raises(OverloadedError, match="3 texts are waiting, and at most 4 may; 2 more"):
        await to.ask(row(4), row(5))
    last = to.ask(row(6))
    await to.engine.let_through()
    await asyncio.gather(first, *waiting, last)
    assert to.engine.batches == [[0], [1, 2, 3, 6]]
    assert to.batcher.waiting == 0


async def test_a_request_that_would_wait_past_its_deadline_is_refused_by_what_batches_took(make: Make) -> None:
    to = make()
    to.engine.seconds = 20
    await to.engine.let_through(1)
    await to.ask(row(0))
    await to.engine.started()
    first = await to.occupy()
    waiting = [to.ask(row(number), seconds=60) for number in (1, 2, 3)]
    await settle()
    with pytest.raises(OverloadedError, match=r"3 texts .* takes about 80.0 s; the request has 70.0 s") as refusal:
        await to.ask(row(4), seconds=70)
    assert refusal.value.headers == {"retry-after": "80"}
    to.engine.seconds = 0
    await to.engine.let_through()
    await asyncio.gather(first, *waiting)


async def test_a_batch_that_fails_says_nothing_about_the_time_of_a_row(make: Make) -> None:
    to = make()
    to.engine.failing, to.engine.seconds = {1}, 20
    await to.engine.let_through(1)
    with pytest.raises(RuntimeError):
        await to.ask(row(1))
    await to.engine.started()
    first = await to.occupy()
    waiting = [to.ask(row(2)), to.ask(row(3), seconds=1)]
    to.engine.seconds = 0
    await to.engine.let_through()
    await asyncio.gather(first, *waiting)


async def test_a_row_whose_deadline_passes_in_the_queue_does_not_run(make: Make) -> None:
    to = make()
    first = await to.occupy()
    late = to.ask(row(1), row(2), seconds=0.01)
    with pytest.raises(DeadlineError, match="the deadline passed"):
        await late
    assert to.batcher.waiting == 0
    punctual = to.ask(row(3))
    await to.engine.let_through()
    await asyncio.gather(first, punctual)
    assert to.engine.batches == [[0], [3]]


async def test_a_request_whose_deadline_passes_while_it_runs_is_answered_then(make: Make) -> None:
    to = make()
    late = to.ask(row(1), seconds=0.05)
    await to.engine.started()
    with pytest.raises(DeadlineError):
        await late
    await to.engine.let_through()
    assert (await to.ask(row(2))).tolist() == [[10, 2]]


async def test_a_deadline_that_passes_as_the_answer_comes_changes_nothing(make: Make) -> None:
    to = make(inline_seconds=SECONDS)
    to.engine.seconds = 0.001
    await to.engine.let_through()
    await to.ask(row(1))
    to.engine.real_seconds = 0.05
    assert (await to.ask(row(2), seconds=0.01)).tolist() == [[10, 2]]


async def test_a_request_that_comes_after_its_deadline_is_not_queued(make: Make) -> None:
    to = make()
    with pytest.raises(DeadlineError, match="passed before"):
        await to.ask(row(1), seconds=0)
    assert to.engine.batches == []


async def test_a_cancelled_request_gives_its_places_back_and_does_not_run(make: Make) -> None:
    to = make(capacity=3)
    first = await to.occupy()
    leaving = to.ask(row(1), row(2), row(3))
    await settle()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = to.ask(row(4), row(5), row(6))
    await to.engine.let_through()
    await asyncio.gather(first, staying)
    assert to.engine.batches == [[0], [4, 5, 6]]


async def test_a_request_that_is_cancelled_before_its_batch_leaves_the_engine_alone(make: Make) -> None:
    to = make()
    leaving = to.ask(row(1))
    asyncio.get_running_loop().call_soon(leaving.cancel)
    await settle()
    assert leaving.cancelled()
    await to.engine.let_through()
    await to.ask(row(2))
    assert to.engine.batches == [[2]]


@pytest.mark.parametrize("inline_seconds", [0, SECONDS])
async def test_a_batch_that_fails_fails_its_requests_and_no_others(make: Make, inline_seconds: float) -> None:
    to = make(inline_seconds=inline_seconds)
    await to.run_first_batch()
    to.engine.failing = {2}
    failing = [to.ask(row(number)) for number in range(1, 5)]
    spared = to.ask(row(9, 400))
    errors = await asyncio.gather(*failing, return_exceptions=True)
    assert {str(error) for error in errors} == {"the engine failed on the batch of this request"}
    assert len(set(map(id, errors))) == 4
    assert {str(error.__cause__) for error in errors if isinstance(error, RuntimeError)} == {"no answer"}
    assert (await spared).tolist() == [[400, 9]]
    assert (await to.ask(row(5))).tolist() == [[10, 5]]


@pytest.mark.parametrize("inline_seconds", [0, SECONDS])
async def test_the_other_rows_of_a_request_that_failed_do_not_run(make: Make, inline_seconds: float) -> None:
    to = make(inline_seconds=inline_seconds)
    await to.run_first_batch()
    to.engine.failing = {1}
    with pytest.raises(RuntimeError):
        await to.ask(*(row(number, length) for number, length in enumerate([5, 5, 5, 400, 400], 1)))
    await to.ask(row(9))
    assert to.engine.batches == [[8], [1, 2, 3], [9]]


async def test_requests_and_batches_are_counted(make: Make) -> None:
    to = make()
    to.engine.seconds = 0.5
    await to.engine.let_through()
    await asyncio.gather(to.ask(row(1), row(2)), to.ask(row(3)))
    to.engine.failing = {4}
    with pytest.raises(RuntimeError):
        await to.ask(row(4))
    tally = to.batcher.tally
    assert (tally.rows, tally.batches.count, tally.batches.seconds) == (3, 1, 0.5)
    assert (tally.answered.count, tally.answered.seconds) == (2, 1)
    assert (tally.failed.count, tally.failed.seconds) == (1, 0.5)


async def test_a_request_that_failed_is_freed_at_once_and_not_only_by_the_garbage_collector(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("app.runtime.batcher"), "disabled", True)  # pytest keeps what is logged

    to = make()
    kept: list[weakref.ref[Row]] = []

    async def fail(number: int, kind: type[Exception]) -> None:
        kept.append(weakref.ref(asked := row(number)))
        deadline = to.clock.now + (0.05 if kind is DeadlineError else SECONDS)
        try:
            with to.batcher.admit(1, deadline) as permit:
                await to.batcher.run([asked], permit)
        except kind:
            return
        pytest.fail("it did not fail")

    first = await to.occupy()
    gc.disable()
    try:
        await fail(1, DeadlineError)
        to.engine.failing = {2}
        await to.engine.let_through()
        await fail(2, RuntimeError)
        await fail(2, RuntimeError)
        await settle()
        assert [reference() is None for reference in kept] == [True] * 3
    finally:
        gc.enable()
    await first


async def test_rows_past_the_quota_of_a_client_do_not_run(make: Make) -> None:
    to = make()
    key = Key(sha256="0" * 64, created=datetime.now(UTC))
    client = Client(name="web", scopes=("predict",), texts_per_day=3, keys=(key,))
    caller = Caller(client, shares := Shares(Usage(None)))
    deadline = to.clock.now + SECONDS
    await to.engine.let_through()
    with to.batcher.admit(2, deadline, caller) as permit:
        await to.batcher.run([row(1), row(2)], permit)
    with (
        to.batcher.admit(2, deadline, caller) as permit,
        pytest.raises(QuotaExceededError, match="the request needs 2, and 1 are left"),
    ):
        await to.batcher.run([row(3), row(4)], permit)
    assert to.batcher.waiting == 0
    with to.batcher.admit(1, deadline, caller) as permit:
        await to.batcher.run([row(5)], permit)
    assert sum(to.engine.batches, []) == [1, 2, 5]
    shares.close()


async def test_only_rows_that_were_judged_count_against_the_quota(make: Make) -> None:
    to = make()
    key = Key(sha256="0" * 64, created=datetime.now(UTC))
    client = Client(name="web", scopes=("predict",), texts_per_day=100, keys=(key,))
    shares = Shares(Usage(None))

    async def ask(rows: int, seconds: float = SECONDS, number: int = 1) -> str:
        """Return the quota that is left after a request, as its answer has it."""
        caller = Caller(client, shares)
        caller.count_request()
        with suppress(DeadlineError, RuntimeError), to.batcher.admit(rows, to.clock.now + seconds, caller) as permit:
            await to.batcher.run([row(number)] * rows, permit)
        (left,) = (value.decode() for name, value in caller.fields if name == b"ratelimit")
        return left.partition(";t=")[0]

    running = asyncio.ensure_future(ask(LARGEST + 10, seconds=0.2))
    await to.engine.started()
    assert await ask(30, seconds=0.05) == '"day";r=74'  # none of them has run; 26 are not known yet
    assert await running == '"day";r=84'  # a batch runs
    await to.engine.let_through()
    to.engine.failing = {9}
    assert await ask(20, number=9) == '"day";r=84'
    assert await ask(20) == '"day";r=64'
    shares.close()


@pytest.mark.parametrize("inline_seconds", [0, SECONDS])
async def test_an_engine_that_loses_rows_fails_their_requests_and_goes_on(make: Make, inline_seconds: float) -> None:
    to = make(inline_seconds=inline_seconds)
    await to.run_first_batch()
    to.engine.losing = {1}
    with pytest.raises(RuntimeError, match="the engine failed"):
        await to.ask(row(1), row(2))
    assert (await to.ask(row(3))).tolist() == [[10, 3]]


async def test_models_share_one_thread(make: Make) -> None:
    to = make()
    other = Batcher(to.engine, to.executor, 100, LoopTime(0), to.batcher.metrics, to.clock)
    first = await to.occupy()
    with other.admit(1, to.clock.now + SECONDS) as permit:
        second = asyncio.ensure_future(other.run([row(1)], permit))
        await settle()
        assert to.engine.batches == [[0]]
        await to.engine.let_through()
        await asyncio.gather(first, second)
    assert to.engine.batches == [[0], [1]]
    assert len(set(to.engine.threads)) == 1


async def test_a_short_batch_runs_in_the_thread_of_the_event_loop_and_a_long_one_elsewhere(make: Make) -> None:
    to = make(inline_seconds=1.5)
    to.engine.seconds = 1
    await to.engine.let_through()
    await to.ask(row(1))  # nothing is known before it
    await to.ask(row(2))
    to.engine.seconds = 100
    await to.ask(row(3, 500))
    here = threading.get_ident()
    assert to.engine.batches == [[1], [2], [3]]
    assert [thread == here for thread in to.engine.threads] == [False, True, False]


@pytest.mark.parametrize(("busy_seconds", "batches"), [(0, 1), (MOST_INLINE_SECONDS, 3)])
async def test_batches_run_as_long_as_the_event_loop_was_busy_before(
    make: Make, busy_seconds: float, batches: int
) -> None:
    """The rows of three lengths make three batches; between them the event loop answers others, unless it was busy."""

    to = make(inline_seconds=SECONDS)
    to.engine.seconds = MOST_INLINE_SECONDS / 2.5
    await to.engine.let_through()
    await to.ask(row(9))
    asked = [to.ask(row(number, length)) for number, length in enumerate([5, 100, 400], 1)]
    await asyncio.sleep(0)
    to.clock.now += busy_seconds
    while len(to.engine.batches) == 1:
        await asyncio.sleep(0)
    assert len(to.engine.batches) == 1 + batches
    await asyncio.gather(*asked)


async def test_the_time_of_other_models_does_not_count_as_busy(make: Make) -> None:
    to = make(inline_seconds=10 * SECONDS)
    to.engine.seconds = MOST_INLINE_SECONDS / 2.5
    await to.engine.let_through()
    await to.ask(row(9))
    asked = [to.ask(row(number, length), seconds=9 * SECONDS) for number, length in enumerate([5, 400], 1)]
    await asyncio.sleep(0)
    to.clock.now += SECONDS
    to.loop_time.spent += SECONDS  # by another batcher
    while len(to.engine.batches) == 1:
        await asyncio.sleep(0)
    assert len(to.engine.batches) == 2
    await asyncio.gather(*asked)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before + 1  # asyncio's own pool may keep one


def read(name: str, **labels: str) -> float:
    """Return a value of the metrics of the batcher."""
    metrics.write()
    labels |= {"model": "counted", "version": "1"}
    return metrics.REGISTRY.get_sample_value(f"lstm_serve_{name}", labels) or 0


@pytest.fixture
def counted(make: Make) -> Iterator[Setting]:
    """What a test works with, with metrics of its own and places for three rows."""
    setting = make(capacity=3)
    model_metrics = ModelMetrics("counted", 1)
    setting.batcher = Batcher(setting.engine, setting.executor, 3, setting.loop_time, model_metrics, setting.clock)
    yield setting
    model_metrics.close()
    metrics.write()


async def test_batches_and_waits_are_counted(counted: Setting) -> None:
    first = await counted.occupy()
    second = counted.ask(row(1, 10), row(2, 8))
    await settle()
    assert read("queue_rows") == 2 and read("queue_capacity_rows") == 3
    counted.clock.now += 0.5
    await counted.engine.let_through()
    await asyncio.gather(first, second)
    assert read("queue_rows") == 0
    assert read("queue_wait_seconds_count") == 3 and read("queue_wait_seconds_sum") == 1
    assert read("batch_rows_sum") == 3 and read("engine_seconds_count") == 2
    assert read("steps_total") == 30 and read("padding_steps_total") == 2


async def test_rejections_and_missed_deadlines_are_counted_by_their_reason(counted: Setting) -> None:
    first = await counted.occupy()
    late = counted.ask(row(1), seconds=0.01)
    with pytest.raises(DeadlineError):
        await late
    with pytest.raises(DeadlineError):
        counted.batcher.admit(1, counted.clock.now)
    with pytest.raises(OverloadedError):
        counted.batcher.admit(4, counted.clock.now + 1)
    assert read("deadline_misses_total", stage="queue") == read("deadline_misses_total", stage="admission") == 1
    assert read("rejections_total", reason="queue-full") == 1
    await counted.engine.let_through()
    await first


async def test_a_traced_request_notes_its_time_in_the_queue_and_its_batches(make: Make) -> None:
    to = make()
    first = await to.occupy()
    parts = Parts()
    begin_parts(parts)
    to.engine.seconds = 2.0
    traced = to.ask(*map(row, range(1, LARGEST + 2)))
    begin_parts(None)
    await to.engine.let_through()
    await asyncio.gather(first, traced)
    queued = 1000.0
    assert list(parts) == [
        Part("queue", queued, queued + 4, None),  # until its last row ran
        Part("engine", queued + 2, queued + 4, LARGEST),
        Part("engine", queued + 4, queued + 6, 1),
    ]


async def test_a_traced_request_that_never_ran_notes_its_time_in_the_queue(make: Make) -> None:
    to = make()
    first = await to.occupy()
    parts = Parts()
    begin_parts(parts)
    late = to.ask(row(1), seconds=0.01)
    begin_parts(None)
    await settle()
    to.clock.now += 3
    with pytest.raises(DeadlineError):
        await late
    assert list(parts) == [Part("queue", 1000.0, 1003.0, None)]
    await to.engine.let_through()
    await first


async def test_a_traced_request_notes_a_batch_that_failed(make: Make) -> None:
    to = make()
    parts = Parts()
    begin_parts(parts)
    to.engine.failing, to.engine.seconds = {1}, 2.0
    failed = to.ask(row(1))
    begin_parts(None)
    await to.engine.let_through()
    with pytest.raises(RuntimeError):
        await failed
    assert list(parts) == [Part("queue", 1000.0, 1000.0, None), Part("engine", 1000.0, 1002.0, 1)]
