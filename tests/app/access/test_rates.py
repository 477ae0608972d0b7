"""The limits by themselves, with times that the tests choose."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.access.rates import DAY_SECONDS, Allowance, return_texts, take_request, take_texts
from app.access.usage import Record

NOW = 1_000_000.0
DAY = 20_000


@pytest.fixture
def record() -> Record:
    return Record(0.0, 0.0, 0, 0)


def test_a_client_may_send_its_burst_at_once_and_then_waits(record: Record) -> None:
    taken = [take_request(record, rate=2, burst=3, now=NOW) for _ in range(4)]
    assert [allowance.is_granted for allowance in taken] == [True, True, True, False]
    assert [allowance.left for allowance in taken] == [2, 1, 0, 0]
    assert [allowance.seconds for allowance in taken] == [0.5, 1.0, 1.5, 0.5]


def test_requests_come_back_with_time(record: Record) -> None:
    for _ in range(3):
        take_request(record, rate=2, burst=3, now=NOW)
    assert not take_request(record, rate=2, burst=3, now=NOW + 0.4).is_granted
    assert take_request(record, rate=2, burst=3, now=NOW + 0.5).is_granted
    assert not take_request(record, rate=2, burst=3, now=NOW + 0.5).is_granted
    assert take_request(record, rate=2, burst=3, now=NOW + 100).left == 2


def test_a_request_that_is_not_granted_costs_nothing(record: Record) -> None:
    take_request(record, rate=1, burst=1, now=NOW)
    before = record.requests, record.requests_at
    assert not take_request(record, rate=1, burst=1, now=NOW + 0.5).is_granted
    assert (record.requests, record.requests_at) == before


@pytest.mark.parametrize(("rate", "burst"), [(20, 20), (2.5, 3), (0.1, 1)])
def test_by_default_the_burst_is_one_second(record: Record, rate: float, burst: int) -> None:
    granted = 0
    while take_request(record, rate, None, NOW).is_granted:
        granted += 1
    assert granted == burst


@pytest.mark.parametrize(
    ("rate", "burst", "policy"),
    [
        (20, None, '"rate";q=20;w=1'),
        (20, 40, '"rate";q=40;w=2'),
        (20, 50, '"rate";q=60;w=3'),
        (20, 1, '"rate";q=20;w=1'),
        (0.1, None, '"rate";q=1;w=10'),
        (0.7, 7, '"rate";q=7;w=10'),
        (0.3, 1, '"rate";q=1;w=4'),
        (0.001, 1, '"rate";q=1;w=1000'),
    ],
)
def test_the_policy_has_whole_numbers_that_the_limit_allows(
    record: Record, rate: float, burst: int | None, policy: str
) -> None:
    assert take_request(record, rate, burst, NOW).policy == policy


def test_the_service_limit_is_what_is_left(record: Record) -> None:
    taken = [take_request(record, rate=2, burst=3, now=NOW).service_limit for _ in range(4)]
    assert taken == ['"rate";r=2;t=1', '"rate";r=1;t=1', '"rate";r=0;t=2', '"rate";r=0;t=1']


@settings(deadline=None)
@given(
    rate=st.floats(0.001, 100_000),
    burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=50),
)
def test_in_no_time_more_requests_are_granted_than_the_burst_and_the_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    record, now, times = Record(0.0, 0.0, 0, 0), NOW, []
    for pause in pauses:
        now += pause / rate
        if take_request(record, rate, burst, now).is_granted:
            times.append(now)
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin) + 0.01


@settings(deadline=None)
@given(rate=st.floats(0.001, 100_000), burst=st.integers(1, 1000))
def test_a_client_that_waits_as_long_as_it_is_told_is_granted_its_request(rate: float, burst: int) -> None:
    record = Record(0.0, 0.0, 0, 0)
    now = NOW
    for _ in range(2 * burst):
        allowance = take_request(record, rate, burst, now)
        if not allowance.is_granted:
            now += allowance.seconds + 1e-6
            assert take_request(record, rate, burst, now).is_granted


def take(record: Record, texts: int, now: float = DAY * DAY_SECONDS, quota: int = 10) -> Allowance:
    return take_texts(record, quota, texts, now)


def test_texts_are_granted_up_to_the_quota(record: Record) -> None:
    taken = [take(record, texts) for texts in (4, 7, 6, 1)]
    assert [allowance.is_granted for allowance in taken] == [True, False, True, False]
    assert [allowance.left for allowance in taken] == [6, 6, 0, 0]
    assert taken[0].policy == '"day";q=10;qu="texts";w=86400'


def test_the_quota_is_whole_again_on_the_next_day(record: Record) -> None:
    evening = (DAY + 1) * DAY_SECONDS - 90.5
    assert take(record, 10, evening).seconds == 90.5
    assert take(record, 0, evening).service_limit == '"day";r=0;t=91'
    assert not take(record, 1, evening + 90).is_granted
    assert take(record, 10, evening + 90.5).is_granted


def test_a_clock_that_is_set_back_over_midnight_begins_no_day_again(record: Record) -> None:
    midnight = DAY * DAY_SECONDS
    assert take(record, 6, midnight + 5).is_granted
    evening = take(record, 4, midnight - 1)
    assert evening.is_granted and evening.left == 0 and evening.seconds == DAY_SECONDS + 1
    for now in (midnight - 1, midnight + 6, midnight - 1):
        assert not take(record, 1, now).is_granted
    assert take(record, 10, midnight + DAY_SECONDS).is_granted


def test_texts_that_were_not_used_are_returned_on_their_day(record: Record) -> None:
    take(record, 10)
    assert return_texts(record, 10, 4, DAY, DAY * DAY_SECONDS).left == 4
    assert take(record, 4).left == 0
    tomorrow = (DAY + 1) * DAY_SECONDS
    assert take(record, 3, tomorrow).left == 7
    assert return_texts(record, 10, 4, DAY, tomorrow).left == 7
    assert return_texts(record, 10, 4, DAY + 1, tomorrow).left == 10  # the count has begun anew since


def test_no_texts_are_granted_as_long_as_one_is_left(record: Record) -> None:
    assert take(record, 9).is_granted and take(record, 0).is_granted
    assert take(record, 1).is_granted and not take(record, 0).is_granted


def test_nothing_is_left_of_a_quota_that_was_lowered(record: Record) -> None:
    take(record, 10)
    assert take(record, 1, quota=5).left == 0
