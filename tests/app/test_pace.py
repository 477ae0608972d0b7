import pytest

from app.pace import NEWEST_WEIGHT, Pace


def test_nothing_is_known_before_the_first_batch() -> None:
    assert Pace().row_seconds == Pace().cost_seconds == 0


def test_the_first_batches_weigh_the_same() -> None:
    pace = Pace()
    for number, (rows, seconds) in enumerate([(1, 30.0), (4, 1.0), (4, 2.0)], 1):
        pace.note(rows=rows, cost=100, seconds=seconds, rows_wait=False)
        if number == 1:
            assert (pace.row_seconds, pace.cost_seconds) == (30, 0.3)
    assert pace.row_seconds == pytest.approx(33 / 9)
    assert pace.cost_seconds == pytest.approx(0.33 / 3)


def test_later_batches_weigh_less_than_all_before() -> None:
    pace = Pace()
    for _ in range(100):
        pace.note(rows=4, cost=100, seconds=8, rows_wait=False)
    pace.note(rows=4, cost=100, seconds=16, rows_wait=False)
    assert pace.cost_seconds == pytest.approx(0.08 + NEWEST_WEIGHT * 0.08)
    assert pace.row_seconds == pytest.approx(2 + NEWEST_WEIGHT * 2)


def test_while_rows_wait_all_that_is_done_between_batches_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 30.0, 70.0])
    monkeypatch.setattr("app.pace.time.monotonic", lambda: next(times))
    pace = Pace()
    pace.note(rows=1, cost=1, seconds=20, rows_wait=True)
    pace.note(rows=1, cost=1, seconds=5, rows_wait=True)  # 20 s after the one before
    assert pace.row_seconds == 20
    pace.pause()
    pace.note(rows=1, cost=1, seconds=20, rows_wait=False)  # not 40
    assert pace.row_seconds == 20
