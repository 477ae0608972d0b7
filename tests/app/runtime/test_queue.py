"""The queue by itself: no engine, and a clock that stands still."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.access.caller import Caller
from app.access.keys import Client, Key
from app.access.shares import Shares
from app.access.usage import Usage
from app.errors import OverloadedError
from app.runtime.grouping import FIXED_STEPS, PADDING_SHARE, Grouping
from app.runtime.queue import CANDIDATES, PATIENT_SECONDS, ROW_SECONDS, Output, Queue, Request
from app.telemetry.metrics import ModelMetrics

NOW = 1000.0
LARGEST = 16
ROW_TIME = 0.001

Put = Callable[..., Request]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def queue() -> Queue:
    return Queue(100, ModelMetrics("queue", 1))


@pytest.fixture
def put(queue: Queue, loop: asyncio.AbstractEventLoop) -> Put:
    return lambda *lengths, **options: put_into(queue, loop, *lengths, **options)


def make_caller(name: str) -> Caller:
    key = Key(sha256="0" * 64, created=datetime.now(UTC))
    return Caller(Client(name=name, scopes=("predict",), keys=(key,)), Shares(Usage(None)))


def put_into(
    queue: Queue,
    loop: asyncio.AbstractEventLoop,
    *lengths: int,
    seconds: float = 10,
    now: float = NOW,
    client: str | None = None,
) -> Request:
    """Queue a request with rows of these lengths, which has some seconds; with a client, a row takes `ROW_TIME`."""
    caller = make_caller(client) if client else None
    permit = queue.admit(len(lengths), now + seconds, now, ROW_TIME if client else 0, caller)
    nothing: Output = np.empty(0, np.float32)
    request = Request(permit, loop.create_future(), [nothing] * len(lengths), len(lengths), now)
    queue.put(request, [np.zeros(length, np.int32) for length in lengths], lengths, now)
    return request


def take(queue: Queue, now: float = NOW) -> list[int]:
    """Take a batch, and return the lengths of its rows."""
    return [entry.steps for entry in queue.take(Grouping(LARGEST), now)]


def test_an_empty_queue_has_no_batch(queue: Queue) -> None:
    assert take(queue) == []
    assert len(queue) == queue.waiting == 0


def test_rows_of_similar_lengths_are_taken_together(queue: Queue, put: Put) -> None:
    for length in (400, 40, 390, 50, 395, 45, 380, 35):
        put(length)
    assert take(queue) == [380, 390, 395, 400]
    assert take(queue) == [35, 40, 45, 50]
    assert take(queue) == []


def test_no_more_than_a_largest_batch_is_taken(queue: Queue, put: Put) -> None:
    put(*[10] * (LARGEST + 4))
    assert [len(take(queue)) for _ in range(3)] == [LARGEST, 4, 0]


def test_the_most_urgent_row_is_in_the_batch(queue: Queue, put: Put) -> None:
    put(10)
    put(11)
    put(400, seconds=0.5)
    assert take(queue) == [400]
    assert take(queue) == [10, 11]


def test_rows_of_equal_urgency_are_taken_in_the_order_of_arrival(queue: Queue, put: Put) -> None:
    requests = [put(10) for _ in range(LARGEST + 3)]
    batch = queue.take(Grouping(LARGEST), NOW)
    assert [entry.request for entry in batch] == requests[:LARGEST]


def test_a_batch_is_chosen_among_the_most_urgent_rows(queue: Queue, put: Put) -> None:
    put(400)
    for _ in range(CANDIDATES - 1):
        put(10)
    put(400)
    assert take(queue) == [400]


def test_a_later_request_does_not_wait_for_all_rows_of_a_large_one(queue: Queue, put: Put) -> None:
    put(*range(400, 440))
    small = put(10, now=NOW + 2 * ROW_SECONDS)
    assert 10 not in take(queue)
    batch = queue.take(Grouping(LARGEST), NOW)
    assert [entry.request for entry in batch] == [small]


def test_a_request_that_was_encoded_for_long_does_not_come_first(queue: Queue, put: Put) -> None:
    large = put(*range(400, 440), seconds=10, now=NOW + 3)
    small = put(10, seconds=10, now=NOW + 3 + ROW_SECONDS)
    assert large.permit.deadline < small.permit.deadline
    assert take(queue)[0] >= 400
    assert take(queue) == [10]


def test_permits_are_limited(queue: Queue) -> None:
    queue = Queue(4, ModelMetrics("queue", 1))
    with queue.admit(3, NOW + 1, NOW, row_seconds=0) as permit:
        with pytest.raises(
            OverloadedError, match="3 texts are waiting, and at most 4 may; 2 more have no place"
        ) as refusal:
            queue.admit(2, NOW + 1, NOW, row_seconds=0)
        assert refusal.value.headers == {"retry-after": "1"}
        with queue.admit(1, NOW + 1, NOW, row_seconds=0):
            assert queue.waiting == 4
        assert (queue.waiting, permit.rows) == (3, 3)
    assert queue.waiting == 0


def test_a_permit_is_given_back_when_its_request_fails(queue: Queue) -> None:
    with pytest.raises(ValueError, match="unfit"), queue.admit(3, NOW + 1, NOW, row_seconds=0):
        raise ValueError("unfit")
    assert queue.waiting == 0


def test_rows_that_run_give_their_places_back(queue: Queue, put: Put) -> None:
    request = put(10, 11, 400)
    assert take(queue) == [10, 11]
    assert (queue.waiting, request.permit.rows) == (1, 1)
    with request.permit:
        pass
    assert queue.waiting == 0


def test_a_request_that_would_wait_past_its_deadline_is_refused(queue: Queue, put: Put) -> None:
    for length in (10, 11, 12):
        put(length, seconds=60)
    with pytest.raises(OverloadedError, match=r"3 texts come first, .* takes about 80.0 s; .* has 70.0 s") as refusal:
        queue.admit(1, NOW + 70, NOW, row_seconds=20)
    assert refusal.value.headers == {"retry-after": "80"}
    with queue.admit(1, NOW + 81, NOW, row_seconds=20), queue.admit(1, NOW + 0.5, NOW, row_seconds=20):
        pass  # one has more time, and the other one comes first


def test_a_request_that_nobody_waits_before_is_admitted_however_long_it_takes(queue: Queue) -> None:
    with queue.admit(5, NOW + 1, NOW, row_seconds=20):
        assert queue.waiting == 5


def test_rows_that_are_too_late_are_dropped(queue: Queue, put: Put) -> None:
    put(10, 11, seconds=1)
    put(12, seconds=3)
    assert take(queue, NOW + 2) == [12]
    assert len(queue) == 0


def test_rows_whose_request_has_failed_are_dropped(queue: Queue, put: Put) -> None:
    put(10, 400).future.cancel()
    put(11)
    assert take(queue) == [11]
    assert len(queue) == 0


def test_rows_of_a_request_are_removed(queue: Queue, put: Put) -> None:
    leaving, staying = put(10, 400), put(11)
    queue.remove(leaving)
    assert len(queue) == 1
    batch = queue.take(Grouping(LARGEST), NOW)
    assert [entry.request for entry in batch] == [staying]


def find_clients(queue: Queue, rows: int, now: float = NOW) -> list[str]:
    """Take rows one by one, and return whose they are."""
    names = []
    for _ in range(rows):
        (entry,) = queue.take(Grouping(1), now)
        assert entry.request.permit.caller
        names.append(entry.request.permit.caller.name)
    return names


def test_a_client_with_many_requests_does_not_push_another_one_back(queue: Queue, put: Put) -> None:
    for _ in range(40):
        put(10, client="many")
    for _ in range(2):
        put(10, client="few")
    assert find_clients(queue, 4) == ["many", "few", "many", "many"]
    assert find_clients(queue, 38).index("few") < 2


def test_without_clients_rows_of_equal_urgency_are_taken_in_the_order_of_arrival(queue: Queue, put: Put) -> None:
    requests = [put(10) for _ in range(40)]
    taken = [queue.take(Grouping(1), NOW)[0].request for _ in range(40)]
    assert taken == requests


@pytest.mark.parametrize("waiting", [{"many": 64, "few": 8}, {"many": 80, "few": 1}, {"a": 30, "b": 30, "c": 3}])
def test_clients_that_always_wait_get_equal_shares(
    loop: asyncio.AbstractEventLoop, queue: Queue, waiting: dict[str, int]
) -> None:
    now, taken = NOW, Counter[str]()
    for client, requests in waiting.items():
        for _ in range(requests):
            put_into(queue, loop, 10, seconds=1000, client=client)
    for _ in range(3000):
        (client,) = find_clients(queue, 1, now)
        now += ROW_TIME
        taken[client] += now > NOW + 1
        put_into(queue, loop, 10, seconds=1000, now=now, client=client)  # each answer is followed by a request
    shares = [taken[client] / taken.total() for client in waiting]
    assert shares == pytest.approx([1 / len(waiting)] * len(waiting), rel=0.05)


def test_a_short_deadline_gives_a_client_no_larger_share(queue: Queue, put: Put) -> None:
    for _ in range(40):
        put(10, seconds=PATIENT_SECONDS - 0.005, client="hasty")
    put(10, client="patient")
    assert "patient" in find_clients(queue, 10)


def test_a_client_whose_rows_have_run_is_not_delayed(queue: Queue, put: Put) -> None:
    for _ in range(40):
        put(10, client="first")
    find_clients(queue, 40)
    put(10, client="first")
    put(10, client="second")
    assert find_clients(queue, 2) == ["first", "second"]


def test_a_client_whose_requests_have_ended_is_not_delayed(queue: Queue, put: Put) -> None:
    for _ in range(40):
        request = put(10, client="first")
        queue.remove(request)
        with request.permit:
            pass
    assert queue.waiting == 0
    put(10, client="first")
    put(10, client="second")
    assert find_clients(queue, 2) == ["first", "second"]


@settings(deadline=None, max_examples=50)
@given(requests=st.lists(st.lists(st.integers(1, 500), min_size=1, max_size=5), min_size=1, max_size=20))
def test_every_row_runs_once_and_none_is_padded_by_more_than_the_stated_share(requests: list[list[int]]) -> None:
    queue, loop = Queue(1000, ModelMetrics("queue", 1)), asyncio.new_event_loop()
    for lengths in requests:
        put_into(queue, loop, *lengths)
    ran = []
    while batch := take(queue):
        assert min(batch) + FIXED_STEPS >= (1 - PADDING_SHARE) * (max(batch) + FIXED_STEPS)
        ran += batch
    loop.close()
    assert sorted(ran) == sorted(sum(requests, []))
    assert queue.waiting == 0
