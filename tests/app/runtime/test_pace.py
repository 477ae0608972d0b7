import pytest

from app.runtime.pace import NEWEST_WEIGHT, Pace


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_nothing_is_known_before_the_first_batch(pace: Pace) -> None:
    assert pace.row_seconds == pace.cost_seconds == 0


def test_the_first_batches_weigh_the_same(pace: Pace) -> None:
    for number, (rows, seconds) in enumerate([(1, 30.0), (4, 1.0), (4, 2.0)], 1):
        pace.note(rows=rows, cost=100, seconds=seconds, rows_wait=False)
        if number == 1:
            assert (pace.row_seconds, pace.cost_seconds) == (30, 0.3)
    assert pace.row_seconds == pytest.approx(33 / 9)
    assert pace.cost_seconds == pytest.approx(0.33 / 3)


def test_later_batches_weigh_less_than_all_before(pace: Pace) -> None:
    for _ in range(100):
        pace.note(rows=4, cost=100, seconds=8, rows_wait=False)
    pace.note(rows=4, cost=100, seconds=16, rows_wait=False)
    assert pace.cost_seconds == pytest.approx(0.08 + NEWEST_WEIGHT * 0.08)
    assert pace.row_seconds == pytest.approx(2 + NEWEST_WEIGHT * 2)


def test_while_rows_wait_everything_between_batches_counts(pace: Pace, clock: Clock) -> None:
    pace.note(rows=1, cost=1, seconds=20, rows_wait=True)
    clock.now += 20
    pace.note(rows=1, cost=1, seconds=5, rows_wait=True)
    assert pace.row_seconds == 20
    pace.pause()
    clock.now += 40
    pace.note(rows=1, cost=1, seconds=20, rows_wait=False)  # not 40
    assert pace.row_seconds == 20
