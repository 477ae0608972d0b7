import io

from app.scoring.display import Display


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(file: io.StringIO, shares: list[float | None], first: tuple[int, float] = (0, 0.0)) -> str:
    """Show the progress of 1,000 rows a second, after each second."""
    clock = Clock()
    display = Display(file, clock)
    display.begin(*first)
    for seconds, share in enumerate(shares, 1):
        clock.now = 100 + seconds
        display.update(first[0] + seconds * 1000, share)
        display.update(first[0] + seconds * 1000, share)
    display.say(display.describe_end(first[0] + len(shares) * 1000))
    return file.getvalue()


def test_a_terminal_has_one_line_that_changes() -> None:
    clear = "\r\x1b[K"
    assert show(Terminal(), [0.25, 0.5]) == (
        f"{clear}1,000 rows, 1,000 rows/s, 25%, 0:00:03 left"
        f"{clear}2,000 rows, 1,000 rows/s, 50%, 0:00:02 left"
        f"{clear}2,000 rows in 2.0 s, 1,000 rows/s\n"
    )


def test_elsewhere_there_is_a_line_now_and_then() -> None:
    shown = show(io.StringIO(), [seconds / 40 for seconds in range(1, 26)])
    assert shown.splitlines() == [
        "10,000 rows, 1,000 rows/s, 25%, 0:00:30 left",
        "20,000 rows, 1,000 rows/s, 50%, 0:00:20 left",
        "25,000 rows in 25.0 s, 1,000 rows/s",
    ]


def test_without_the_size_of_the_input_no_time_is_left() -> None:
    assert show(io.StringIO(), [None] * 10).splitlines()[0] == "10,000 rows, 1,000 rows/s"


def test_a_run_that_goes_on_counts_from_where_it_began() -> None:
    shown = show(io.StringIO(), [0.5 + seconds / 40 for seconds in range(1, 11)], (50_000, 0.5))
    assert shown.splitlines() == [
        "60,000 rows, 1,000 rows/s, 75%, 0:00:10 left",
        "60,000 rows, 10,000 of them now, in 10.0 s, 1,000 rows/s",
    ]


def test_a_run_that_had_nothing_to_do_has_no_rate() -> None:
    assert Display(io.StringIO(), Clock()).describe_end(7) == "7 rows"
    display = Display(io.StringIO(), Clock())
    display.begin(0, 0.0)
    assert display.describe_end(0) == "0 rows in 0.0 s"
