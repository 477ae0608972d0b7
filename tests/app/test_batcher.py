"""The queue, with an engine that waits for a signal: nothing here depends on how fast the machine is."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.batcher import CANDIDATES, CHOICES, MOST_PASSES, QUIET_PASSES, Batcher
from app.errors import DeadlineError, OverloadedError
from app.grouping import FIXED_STEPS, PADDING_SHARE
from app.pace import NEWEST_WEIGHT, LoopTime
from bundle.rows import Row
from tests.conftest import SECONDS

LARGEST = 16


class Engine:
    """Answers a row with its length and its first number, each batch once it is let through."""

    batch_rows = LARGEST

    def __init__(self) -> None:
        self.batches: list[list[int]] = []  # the first number of every row
        self.lengths: list[list[int]] = []
        self.threads: list[int] = []
        self.failing: set[int] = set()
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
        if self.failing & set(numbers):
            raise RuntimeError("no answer")
        return np.array([[len(row), row[0]] for row in rows], np.float32)

    async def let_through(self, batches: int = 1000) -> None:
        """Let batches through, once everything that was asked is queued: the engine takes from the queue itself."""
        await settle()
        self._let_through.release(batches)

    async def started(self) -> None:
        """Wait until one more batch has begun."""
        await asyncio.to_thread(self._started.get, timeout=SECONDS)


def row(number: int, length: int = 10) -> Row:
    return np.full(length, number, np.int32)


Test = Callable[[Engine, Batcher], Coroutine[Any, Any, None]]


def run(
    test: Test, workers: int = 1, capacity: int = 100, inline_seconds: float = 0, engine: Engine | None = None
) -> None:
    """Run a test in an event loop of its own, with a batcher and its engine."""
    engine = engine or Engine()
    with ThreadPoolExecutor(workers) as executor:
        batcher = Batcher(engine, executor, workers, capacity, LoopTime(inline_seconds))

        async def limited() -> None:
            try:
                await asyncio.wait_for(test(engine, batcher), SECONDS)
            finally:
                await engine.let_through()

        uvloop.run(limited())  # as the service


def ask(batcher: Batcher, *rows: Row, seconds: float = SECONDS) -> "asyncio.Task[NDArray[np.float32]]":
    """Queue a request, whose answer the task returns."""

    async def answer() -> NDArray[np.float32]:
        return np.stack(await batcher.run(rows, time.monotonic() + seconds))

    return asyncio.ensure_future(answer())


async def occupy(engine: Engine, batcher: Batcher) -> "asyncio.Task[NDArray[np.float32]]":
    """Make the engine busy with row 0."""
    first = ask(batcher, row(0))
    await engine.started()
    return first


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def measured(batcher: Batcher, cost_seconds: float) -> None:
    """Have the batcher know by many batches what a cost of 1 takes."""
    batcher._pace.cost_seconds, batcher._pace._batches = cost_seconds, 1000


def let_deadlines_pass(batcher: Batcher, requests: Iterable[Any]) -> None:
    """Do what happens when the deadlines of these requests have passed."""
    for request in requests:
        request.deadline = 0
    batcher._expire(asyncio.get_running_loop())


def test_an_idle_engine_runs_a_request_at_once() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        outputs = await ask(batcher, row(7, 3))
        assert outputs.tolist() == [[3, 7]]
        assert engine.batches == [[7]]

    run(test)


def test_requests_that_arrive_together_are_run_together() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await asyncio.gather(*(ask(batcher, row(number)) for number in range(1, 5)))
        assert engine.batches == [[1, 2, 3, 4]]

    run(test)


def test_requests_gather_while_the_engine_is_busy() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, row(number)) for number in range(1, 17)]
        await settle()
        assert engine.batches == [[0]]
        await engine.let_through()
        await asyncio.gather(first, *others)
        assert engine.batches == [[0], list(range(1, 17))]

    run(test)


def test_every_row_gets_its_own_answer_in_the_order_of_its_request() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        lengths = [[5, 300, 6], [7], [301, 8, 9, 302]]
        asked = [ask(batcher, *(row(length, length) for length in request)) for request in lengths]
        await engine.let_through()
        for request, task in zip(lengths, asked, strict=True):
            assert (await task).tolist() == [[length, length] for length in request]
        await first

    run(test)


def test_what_is_more_than_a_largest_batch_is_left_for_the_next() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, row(number)) for number in range(1, LARGEST + 5)]
        await engine.let_through()
        await asyncio.gather(first, *others)
        assert [len(batch) for batch in engine.batches] == [1, LARGEST, 4]

    run(test)


def test_rows_that_all_take_every_step_are_run_together_whatever_their_lengths() -> None:
    class WholeLength(Engine):
        def count_steps(self, _: Row) -> int:
            return 500

    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, row(number, length)) for number, length in enumerate([400, 10, 390, 20], 1)]
        await engine.let_through()
        await asyncio.gather(first, *others)
        assert engine.lengths[1:] == [[400, 10, 390, 20]]

    run(test, engine=WholeLength())


def test_rows_of_unlike_lengths_are_run_apart() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        lengths = [400, 40, 390, 50, 395, 45, 380, 35]
        others = [ask(batcher, row(number, length)) for number, length in enumerate(lengths, 1)]
        await engine.let_through()
        await asyncio.gather(first, *others)
        assert engine.lengths[1:] == [[380, 390, 395, 400], [35, 40, 45, 50]]

    run(test)


@settings(deadline=None, max_examples=20)
@given(requests=st.lists(st.lists(st.integers(1, 500), min_size=1, max_size=5), min_size=1, max_size=20))
def test_no_row_is_filled_up_by_more_than_the_stated_share(requests: list[list[int]]) -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, *(row(1, length) for length in request)) for request in requests]
        await engine.let_through()
        await asyncio.gather(first, *others)
        for lengths in engine.lengths:
            assert min(lengths) + FIXED_STEPS >= (1 - PADDING_SHARE) * (max(lengths) + FIXED_STEPS)
        assert sum(map(len, engine.lengths)) == 1 + sum(map(len, requests))

    run(test, capacity=1000)


def test_the_most_urgent_row_is_run_first() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        patient = [ask(batcher, row(number)) for number in (1, 2)]
        urgent = ask(batcher, row(3, 400), seconds=SECONDS / 2)
        await engine.let_through()
        await asyncio.gather(first, *patient, urgent)
        assert engine.batches == [[0], [3], [1, 2]]

    run(test)


def test_a_long_row_is_not_starved_by_short_ones_that_keep_coming() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, row(1)) for _ in range(4)] + [ask(batcher, row(2, 500))]
        for turn in range(3):
            others += [ask(batcher, row(3)) for _ in range(4)]
            await settle()
            await engine.let_through(1)
            await engine.started()
            assert ([2] in engine.batches) == (turn > 0)
        await engine.let_through()
        await asyncio.gather(first, *others)

    run(test)


def test_a_full_queue_refuses_and_keeps_what_it_has() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        waiting = [ask(batcher, row(number)) for number in range(1, 4)]
        await settle()
        with pytest.raises(OverloadedError, match="3 texts are waiting, and at most 4 may; 2 more") as refusal:
            await ask(batcher, row(4), row(5))
        assert refusal.value.headers == {"retry-after": "1"}
        last = ask(batcher, row(6))
        await engine.let_through()
        await asyncio.gather(first, *waiting, last)
        assert engine.batches == [[0], [1, 2, 3, 6]]

    run(test, capacity=4)


def test_it_is_refusing_until_a_request_has_a_place_or_none_waits() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        waiting = [ask(batcher, row(number)) for number in range(1, 4)]
        await settle()
        with pytest.raises(DeadlineError):
            await ask(batcher, row(4), seconds=-1)
        assert not batcher.is_refusing
        for fits in (True, False):
            with pytest.raises(OverloadedError):
                await ask(batcher, row(4), row(5))
            assert batcher.is_refusing
            if fits:
                waiting.append(ask(batcher, row(6)))
                await settle()
                assert not batcher.is_refusing
        await engine.let_through()
        await asyncio.gather(first, *waiting)
        assert not batcher.is_refusing

    run(test, capacity=4)


def test_a_request_that_would_wait_past_its_deadline_is_refused_and_told_how_long() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        waiting = ask(batcher, row(1), row(2), row(3), seconds=60)
        await settle()
        batcher._pace._batch_seconds, batcher._pace._batch_rows = 40.0, 2.0  # as if measured
        with pytest.raises(OverloadedError, match="3 texts .* takes about 80.0 s, the request has 70.0 s") as refusal:
            await ask(batcher, row(4), seconds=70.04)  # some of it has passed when the message is made
        assert refusal.value.headers == {"retry-after": "80"}
        patient, urgent = ask(batcher, row(5), seconds=110), ask(batcher, row(6), seconds=50)
        await engine.let_through()
        await asyncio.gather(first, waiting, patient, urgent)

    run(test)


def test_rows_that_are_prepared_have_their_places_kept() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        with batcher.reserve(3, time.monotonic() + SECONDS):
            with pytest.raises(OverloadedError, match="3 texts are waiting, and at most 4 may; 2 more"):
                await ask(batcher, row(1), row(2))
            await ask(batcher, row(3))
        await ask(batcher, row(1), row(2))

    run(test, capacity=4)


def test_the_time_of_a_row_is_measured_with_what_is_done_between_batches() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        waiting = [ask(batcher, row(number)) for number in range(LARGEST + 1)]
        await settle()
        begun = time.monotonic()
        await engine.let_through()
        await asyncio.gather(first, *waiting)
        seconds = time.monotonic() - begun
        pace = batcher._pace
        assert 0 < pace.cost_seconds < pace.row_seconds
        rows, pace._since = pace._batch_rows, time.monotonic() - 100  # as if others than the engine had been busy
        assert 1 < rows < LARGEST  # of batches of 1 and of all the others
        await ask(batcher, row(1))
        weight = max(NEWEST_WEIGHT, 1 / pace._batches)
        expected = weight * 100 / (rows + weight * (1 - rows))
        assert pace.row_seconds == pytest.approx(expected, abs=1 + seconds)

    run(test)


def test_a_batch_that_fails_tells_nothing_of_the_time_of_a_row() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        engine.failing = {1}
        await engine.let_through()
        with pytest.raises(RuntimeError):
            await ask(batcher, row(1))
        assert batcher._pace.row_seconds == 0

    run(test)


def test_time_in_which_nothing_is_run_is_not_that_of_a_row() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        engine.failing = {1}
        failing = ask(batcher, row(1))
        await engine.let_through()
        await first
        with pytest.raises(RuntimeError):
            await failing
        assert batcher._pace._since is None
        batcher._pace.note(1, 1, 0, rows_wait=True)
        assert not batcher._take_batch()
        assert batcher._pace._since is None

    run(test)


def test_a_row_whose_deadline_passes_in_the_queue_is_not_run() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        late = ask(batcher, row(1), row(2))
        await settle()
        let_deadlines_pass(batcher, {entry.request for entry in batcher._queue})
        with pytest.raises(DeadlineError, match="the deadline passed"):
            await late
        punctual = ask(batcher, row(3))
        await engine.let_through()
        await asyncio.gather(first, punctual)
        assert engine.batches == [[0], [3]]

    run(test)


def test_deadlines_that_pass_soon_after_one_another_are_all_told() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        wrong: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        first = await occupy(engine, batcher)
        for _ in range(20):
            late = [ask(batcher, row(1), seconds=0.002 + 0.0003 * place) for place in range(20)]
            outcomes = await asyncio.gather(*late, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {DeadlineError}
        await engine.let_through()
        await first
        assert engine.batches == [[0]]
        assert not batcher._open
        assert not wrong

    run(test)


def test_a_request_whose_deadline_passes_while_it_is_run_is_answered_then() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        late = ask(batcher, row(1))
        await engine.started()
        let_deadlines_pass(batcher, batcher._open)
        with pytest.raises(DeadlineError):
            await late
        await engine.let_through()
        assert (await ask(batcher, row(2))).tolist() == [[10, 2]]

    run(test)


def test_a_deadline_that_passes_as_the_answer_comes_changes_nothing() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        finish = batcher._finish

        def finish_late(loop: Any, batch: Any, outputs: Any, seconds: float) -> None:
            finish(loop, batch, outputs, seconds)
            batch[0].request.deadline = 0
            batcher._expire(loop)

        batcher._finish = finish_late  # type: ignore[method-assign]
        assert (await ask(batcher, row(1))).tolist() == [[10, 1]]

    run(test)


def test_a_request_that_comes_after_its_deadline_is_not_queued() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        with pytest.raises(DeadlineError, match="had passed before"):
            await ask(batcher, row(1), seconds=0)
        assert engine.batches == []

    run(test)


def test_a_cancelled_request_frees_its_places_and_is_not_run() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        leaving = ask(batcher, row(1), row(2), row(3))
        await settle()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        staying = ask(batcher, row(4), row(5), row(6))
        await engine.let_through()
        await asyncio.gather(first, staying)
        assert engine.batches == [[0], [4, 5, 6]]

    run(test, capacity=3)


def test_a_request_cancelled_before_it_is_dispatched_leaves_the_engine_alone() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        leaving = ask(batcher, row(1))
        asyncio.get_running_loop().call_soon(leaving.cancel)  # after it is queued, before it is dispatched
        await settle()
        assert leaving.cancelled()
        await engine.let_through()
        await ask(batcher, row(2))
        assert engine.batches == [[2]]

    run(test)


def test_a_batch_that_fails_fails_its_requests_and_no_others() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        engine.failing = {2}
        first = await occupy(engine, batcher)
        failing = [ask(batcher, row(number)) for number in range(1, 5)]
        spared = ask(batcher, row(9, 400))
        await engine.let_through()
        for task in failing:
            with pytest.raises(RuntimeError, match="the engine failed"):
                await task
        assert (await spared).tolist() == [[400, 9]]
        assert (await ask(batcher, row(5))).tolist() == [[10, 5]]
        await first

    run(test)


def test_what_failed_is_forgotten_at_once_and_not_only_by_the_garbage_collector() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        kept: list[weakref.ref[Row]] = []

        async def fail(number: int, kind: type[Exception]) -> None:
            kept.append(weakref.ref(asked := row(number)))
            try:
                await batcher.run([asked], time.monotonic() + (0.05 if kind is DeadlineError else SECONDS))
            except kind:
                return
            pytest.fail("it did not fail")

        first = await occupy(engine, batcher)
        gc.disable()
        try:
            await fail(1, DeadlineError)
            engine.failing = {2}
            await engine.let_through()
            await fail(2, RuntimeError)
            await fail(2, RuntimeError)
            await settle()
            assert [reference() is None for reference in kept] == [True] * 3
        finally:
            gc.enable()
        await first

    run(test)


def test_each_request_of_a_batch_that_failed_has_an_error_of_its_own() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        engine.failing = {1}
        await engine.let_through()
        errors = await asyncio.gather(*(ask(batcher, row(number)) for number in (1, 2, 3)), return_exceptions=True)
        assert engine.batches == [[1, 2, 3]]
        assert len(set(map(id, errors))) == 3
        assert {str(error.__cause__) for error in errors if isinstance(error, RuntimeError)} == {"no answer"}

    run(test)


def test_what_waits_for_a_thread_of_another_model_is_chosen_when_there_is_one() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        other = Batcher(engine, batcher._executor, 1, 100, LoopTime(0))
        first = await occupy(engine, batcher)
        leaving, late, staying = ask(other, row(1)), ask(other, row(2)), ask(other, row(3), row(4))
        await settle()
        leaving.cancel()
        let_deadlines_pass(other, {entry.request for entry in other._queue if entry.row[0] == 2})
        with pytest.raises(DeadlineError):
            await late
        joining = ask(other, row(5))
        await settle()
        await engine.let_through()
        await asyncio.gather(first, staying, joining)
        assert engine.batches == [[0], [3, 4, 5]]

    run(test)


def test_nothing_is_run_when_all_have_left_who_waited_for_a_thread_of_another_model() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        other = Batcher(engine, batcher._executor, 1, 100, LoopTime(0))
        first = await occupy(engine, batcher)
        leaving = ask(other, row(1))
        await settle()
        leaving.cancel()
        await engine.let_through()
        await first
        await asyncio.wrap_future(batcher._executor.submit(int))  # behind what the other had submitted
        await ask(other, row(2))
        assert engine.batches == [[0], [2]]

    run(test)


def test_the_other_rows_of_a_request_that_failed_are_not_run() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        engine.failing = {1}
        first = await occupy(engine, batcher)
        failing = ask(batcher, *(row(number, length) for number, length in enumerate([5, 5, 5, 400, 400], 1)))
        await settle()
        await engine.let_through(2)
        with pytest.raises(RuntimeError):
            await failing
        await first
        await engine.let_through()
        await ask(batcher, row(9))
        assert [4, 5] not in engine.batches and [9] in engine.batches

    run(test)


@pytest.mark.parametrize("others", [2, CHOICES * LARGEST])
def test_the_other_rows_of_a_request_that_failed_in_the_thread_of_the_event_loop_are_not_run(others: int) -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await ask(batcher, row(9))  # is measured first
        engine.failing = {1}
        lengths = [5, 5, 5] + [400] * others
        with pytest.raises(RuntimeError):
            await ask(batcher, *(row(number, length) for number, length in enumerate(lengths, 1)))
        await settle()
        assert engine.batches == [[9], [1, 2, 3]]

    run(test, inline_seconds=SECONDS)


def test_as_many_batches_as_there_are_workers_are_run_at_a_time() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        asked = [ask(batcher, row(number, length)) for number, length in enumerate([10, 400, 100], 1)]
        await engine.started()
        await engine.started()
        await settle()
        assert sorted(engine.batches) == [[1], [2]]
        await engine.let_through()
        await asyncio.gather(*asked)

    run(test, workers=2)


def test_an_event_loop_that_is_busy_does_not_hold_up_a_full_batch() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = [ask(batcher, row(number)) for number in range(1, 17)]
        await engine.let_through()
        engine._started.get(timeout=SECONDS)  # the loop does nothing else meanwhile
        assert engine.batches == [[0], list(range(1, 17))]
        await asyncio.gather(first, *others)

    run(test)


def test_requests_that_come_one_after_the_other_are_run_together() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await asyncio.gather(*(ask(batcher, row(number)) for number in range(1, 4)))
        others = []
        for number in range(4, 8):
            others.append(ask(batcher, row(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*others)
        assert engine.batches == [[1, 2, 3], [4, 5, 6, 7]]

    run(test)


def test_requests_that_never_cease_do_not_keep_the_engine_idle() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        asked = []
        while not batcher._running:
            asked.append(ask(batcher, row(1)))
            await asyncio.sleep(0)
        assert len(asked) <= MOST_PASSES + 2
        await engine.let_through()
        await asyncio.gather(*asked)

    run(test)


def test_requests_that_take_long_to_read_do_not_keep_the_engine_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.batcher.MOST_PASSES_SECONDS", 0)

    async def test(engine: Engine, batcher: Batcher) -> None:
        asked = []
        while not batcher._running:
            asked.append(ask(batcher, row(1)))
            await asyncio.sleep(0)
        assert len(asked) <= 3
        await engine.let_through()
        await asyncio.gather(*asked)

    run(test)


def test_enough_rows_to_choose_from_do_not_wait_for_more() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        asked = [ask(batcher, *map(row, range(CANDIDATES)))]
        while not batcher._running:
            await asyncio.sleep(0)
            asked.append(ask(batcher, row(1)))
        assert len(asked) <= 3
        await engine.let_through()
        await asyncio.gather(*asked)

    run(test)


@pytest.mark.parametrize("waiting", [4, 3])
def test_refused_requests_do_not_keep_the_engine_idle(waiting: int) -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        asked, refused = ask(batcher, *map(row, range(waiting))), []
        while not batcher._running:
            refused.append(ask(batcher, row(1), row(2)))
            await asyncio.sleep(0)
        assert len(refused) <= QUIET_PASSES + 3
        await engine.let_through()
        await asked
        answers = await asyncio.gather(*refused, return_exceptions=True)  # the last may have found the queue empty
        assert isinstance(answers[0], OverloadedError)

    run(test, capacity=4)


def test_a_batch_is_chosen_among_the_most_urgent_rows() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        long, last = 1, CANDIDATES + 1
        asked = [ask(batcher, row(number, 400 if number in (long, last) else 10)) for number in range(long, last + 1)]
        await engine.let_through()
        await asyncio.gather(first, *asked)
        assert engine.batches[1] == [long]

    run(test)


@pytest.mark.parametrize(("most", "choices", "turns"), [(SECONDS, 0, 1), (0, 0, 3), (SECONDS, 2, 3)])
def test_batches_are_run_as_long_as_the_event_loop_took_before_while_there_are_many_rows(
    monkeypatch: pytest.MonkeyPatch, most: float, choices: int, turns: int
) -> None:
    monkeypatch.setattr("app.batcher.MOST_INLINE_SECONDS", most)
    monkeypatch.setattr("app.batcher.CHOICES", choices)

    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        begun: list[float] = []
        run_here = batcher._run_here

        def note(*args: Any) -> None:
            begun.append(args[-1])
            run_here(*args)

        monkeypatch.setattr(batcher, "_run_here", note)
        monkeypatch.setattr(batcher, "_is_short", lambda _: True)
        asked = [ask(batcher, row(number, length)) for number, length in enumerate([5, 100, 400], 1)]
        await asyncio.sleep(0)
        assert batcher._scheduled_at is not None
        batcher._scheduled_at -= SECONDS
        await asyncio.gather(*asked)
        assert sorted(engine.batches) == [[1], [2], [3]]
        assert len(begun) == turns

    run(test)


def test_what_batches_of_other_models_took_gives_no_more_time_to_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        begun: list[float] = []
        monkeypatch.setattr(batcher, "_is_short", lambda _: True)
        monkeypatch.setattr(batcher, "_run_here", lambda *args: begun.append(args[-1]))
        asked = ask(batcher, row(1))
        await asyncio.sleep(0)
        assert batcher._scheduled_at is not None
        batcher._scheduled_at -= SECONDS
        batcher._loop_time.spent += SECONDS  # by another batcher
        while not begun:
            await asyncio.sleep(0)
        assert begun[0] < SECONDS / 2
        asked.cancel()

    run(test)


def test_a_batch_that_takes_little_is_run_in_the_thread_of_the_event_loop() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await ask(batcher, row(1))  # is measured first
        measured(batcher, 1.0 / batcher._grouping.cost([10]))
        await ask(batcher, row(2))
        await ask(batcher, row(3), row(4), row(5))
        here = threading.get_ident()
        assert [thread == here for thread in engine.threads] == [False, True, False]

    run(test, inline_seconds=1.5)


@pytest.mark.parametrize("long", [1, CHOICES * LARGEST])
def test_a_long_batch_behind_a_short_one_is_not_run_in_the_thread_of_the_event_loop(long: int) -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await ask(batcher, row(1))
        measured(batcher, 1.0 / batcher._grouping.cost([10]))
        await asyncio.gather(ask(batcher, row(2)), *(ask(batcher, row(3, 500)) for _ in range(long)))
        here = threading.get_ident()
        assert engine.batches[:2] == [[1], [2]] and sum(engine.batches[2:], []) == [3] * long
        assert [thread == here for thread in engine.threads] == [False, True] + [False] * (len(engine.threads) - 2)

    run(test, inline_seconds=1.5)


def test_a_batch_that_fails_in_the_thread_of_the_event_loop_is_answered_too() -> None:
    async def test(engine: Engine, batcher: Batcher) -> None:
        await engine.let_through()
        await ask(batcher, row(1))
        engine.failing = {2}
        with pytest.raises(RuntimeError, match="the engine failed"):
            await ask(batcher, row(2))
        assert (await ask(batcher, row(3))).tolist() == [[10, 3]]

    run(test, inline_seconds=SECONDS)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before + 1  # asyncio's own pool may keep one
