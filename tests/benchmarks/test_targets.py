import pytest

from benchmarks.targets import MissedError, Target, check


def test_a_figure_on_its_bound_reaches_it() -> None:
    assert Target("lost", 0).reaches(0) and not Target("lost", 1).reaches(0)
    assert Target("throughput", 0.95, is_least=True).reaches(0.95)
    assert not Target("throughput", 0.94, is_least=True).reaches(0.95)
    assert Target("anything", 100).reaches(None)


def test_figures_are_printed_beside_their_floors_and_goals(capsys: pytest.CaptureFixture[str]) -> None:
    check([Target("memory", 1.0312, floor=1.05, goal=1.01), Target("kept", 3, floor=2, is_least=True)])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[3:]]
    assert rows == [["memory", "1.031", "<= 1.05, met", "<= 1.01, missed"], ["kept", "3", ">= 2, met", "-"]]


def test_a_missed_floor_is_an_error_after_everything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissedError, match="^missed floors: lost: 3$"):
        check([Target("lost", 3, floor=0, goal=0), Target("seconds", 4, goal=1)])
    assert "| seconds |" in capsys.readouterr().out
