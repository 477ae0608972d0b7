from pathlib import Path

import pytest

from tests.training.commands.command import check_error, check_usage, one_line, run

ROWS = [("the film is good and " + "so " * number, 1 + number % 5, number % 9) for number in range(100)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "[my].csv"
    path.write_text("Review,Stars,user,other\n" + "".join(f"{text},{stars},{user},x\n" for text, stars, user in ROWS))
    return path


def test_check_shows_what_is_in_the_data(file: Path) -> None:
    result = run("check", file)
    assert result.exit_code == 0
    shown = one_line(result.stdout)
    assert "data [my].csv: CSV with the delimiter comma, UTF-8 100 rows" in shown
    assert "columns text: Review, label: Stars" in shown
    assert "language English, Latin script" in shown
    assert "│ 5 │ 16 │ 4 │" in shown
    assert "│ all │ 80 │ 20 │" in shown


def test_check_takes_options(file: Path) -> None:
    options = ("--text-column", "Review", "--label-column", "Stars", "--group-column", "user", "--encoding", "ascii")
    result = run("check", file, *options, "--label-map", "1,2=bad;4,5=good", "--test-share", "0.3", "--seed", "5")
    assert result.exit_code == 0
    shown = one_line(result.stdout)
    assert "30% of each label held out for the test as far as groups allow, seed 5; no group in both" in shown
    assert "- 20 rows left out, whose labels the map does not name: 3 (20)" in shown


def test_check_skips_bad_rows_on_request(file: Path) -> None:
    file.write_text(file.read_text() + "a, b,1,1,x\n")
    check_error(
        run("check", file), "my].csv, line 102 has 5 fields, the header has 4; .*With --skip-bad-rows such rows"
    )
    result = run("check", file, "--skip-bad-rows")
    assert result.exit_code == 0
    assert "- 1 row could not be read and left out." in one_line(result.stdout)


def test_check_reads_test_texts(file: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text("Review,Stars\nnew,1\nnewer,2\n")
    result = run("check", file, "--test", test)
    assert result.exit_code == 0
    assert "test data test.csv" in one_line(result.stdout)


def test_check_says_what_is_wrong(file: Path, tmp_path: Path) -> None:
    check_error(run("check", tmp_path / "none.csv"), "there is no .*none.csv")
    check_error(
        run("check", file, "--text-column", "text"), "there is no column 'text'; the columns of .* are: 'Review'"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoding", "none"], "there is no encoding 'none'"),
        (["--label-map", "1,2"], "'1,2' maps no labels"),
        (["--test-share", "1"], "a test share of 1 is not between 0 and 1"),
    ],
)
def test_check_refuses_what_makes_no_sense(file: Path, options: list[str], message: str) -> None:
    check_usage(run("check", file, *options), message)


def test_tables_of_a_pipe_are_not_folded(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("text,label\n" + "".join(f"text {n},{'long ' * 18}{n % 2}\n" for n in range(20)))
    result = run("check", path)
    assert any("long " * 18 + "1" in line for line in result.stdout.splitlines())
