from training.quantities import count, describe_time


def test_one_has_no_plural() -> None:
    assert [count(number, "epoch") for number in (0, 1, 2000)] == ["0 epochs", "1 epoch", "2,000 epochs"]


def test_a_long_time_is_in_minutes() -> None:
    assert [describe_time(seconds) for seconds in (0.4, 99.0, 150.0)] == ["0 s", "99 s", "2 min"]
