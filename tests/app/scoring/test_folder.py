import json
import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from app.errors import ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.folder import JOURNAL, Progress, begin, finish, list_files, show_files
from app.scoring.parts import Counts, Part, Plan, read_parts, score_part
from app.scoring.scorer import Model
from tables.storage import Stored
from tests.app.scoring.conftest import make_rows, read_table, write_table

MODEL = Model("sentiment", ("negative", "positive"), {"model": "mine", "version": 1})
ROWS = 30


class Same:
    """Answers every text alike, but refuses one."""

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        answer = {"sentiment": "positive", "probability_positive": 0.5}
        counts = dict.fromkeys(("words_used", "words_unknown", "words_cut"), 1)
        return [Refused("it is refused") if text == "refused" else answer | counts for text in texts]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan of two files with three parts each."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_table(tmp_path / "in" / f"{name}.csv", make_rows(ROWS))
    columns = Columns(MODEL.task, MODEL.labels)
    return Plan(str(tmp_path / "in"), str(tmp_path / "out"), None, "review", columns, part_rows=10)


def read_remaining(plan: Plan, progress: Progress) -> Iterator[Part]:
    for number, stored, done in progress.remaining:
        yield from read_parts(plan, number, stored, done)


def run(plan: Plan, only: Set[int] = frozenset(range(9))) -> Progress:
    """Score the parts that are left, of each file those with these numbers; return how far it was before."""
    progress = begin(plan, MODEL, list_files(plan.source))
    for part in read_remaining(plan, progress):
        if part.number in only:
            score_part(plan, part, Same())
    return progress


def read_ids(plan: Plan) -> list[int]:
    """Return the ids of the rows of the output, in the order of the names."""
    return [int(row["id"]) for path in sorted(Path(plan.output).glob("*.parquet")) for row in read_table(path)]


def test_a_job_goes_on_with_the_parts_that_are_missing(plan: Plan) -> None:
    begun = run(plan, only={0, 2})
    assert (begun.counts, [one.done for one in begun.remaining]) == (Counts(0, 0), [set(), set()])
    with pytest.raises(
        ScoringError, match="parts of 2 files are missing in .*out; run the same command again .* If it"
    ):
        finish(plan, begun)
    gone_on = run(plan)
    assert (gone_on.counts, [one.done for one in gone_on.remaining]) == (Counts(40, 0), [{0, 2}, {0, 2}])
    assert finish(plan, gone_on) == Counts(60, 0)
    done = begin(plan, MODEL, list_files(plan.source))
    assert (done.counts, done.remaining, done.removed) == (Counts(60, 0), [], [])
    assert read_ids(plan) == [*range(ROWS), *range(ROWS)]


def test_files_that_stay_keep_their_parts_and_numbers(plan: Plan) -> None:
    run(plan)
    kept = {path.name: path.stat().st_mtime_ns for path in Path(plan.output).glob("00000001-*")}
    write_table(Path(plan.source) / "a.csv", make_rows(20))
    write_table(Path(plan.source) / "0.csv", make_rows(5))
    progress = run(plan)
    assert progress.removed == [f"{plan.source}/a.csv"]
    assert [(one.number, one.stored.name) for one in progress.remaining] == [(2, "0.csv"), (3, "a.csv")]
    assert finish(plan, progress) == Counts(ROWS + 25, 0)
    assert {path.name: path.stat().st_mtime_ns for path in Path(plan.output).glob("00000001-*")} == kept
    assert read_ids(plan) == [*range(ROWS), *range(5), *range(20)]
    (Path(plan.source) / "b.csv").unlink()
    assert run(plan).removed == [f"{plan.source}/b.csv"]
    assert read_ids(plan) == [*range(5), *range(20)]
    write_table(Path(plan.source) / "b.csv", make_rows(1))
    assert [one.number for one in run(plan).remaining] == [4]


def test_an_input_that_changes_while_the_job_runs_is_named(plan: Plan) -> None:
    progress = run(plan)
    write_table(Path(plan.source) / "b.csv", make_rows(ROWS))
    os.utime(Path(plan.source) / "b.csv", ns=(0, 0))
    write_table(Path(plan.source) / "c.csv", make_rows(ROWS))
    with pytest.raises(ScoringError, match=r"the input changed while the job ran: .*b\.csv, .*c\.csv; run the same"):
        finish(plan, progress)
    assert [one.number for one in run(plan).remaining] == [2, 3]


def test_of_many_files_a_message_has_the_first_ones() -> None:
    assert [show_files("abcde"[:count]) for count in (1, 3, 5)] == ["a", "a, b, c", "a, b, c and 2 more"]


def test_an_empty_file_has_no_rows(plan: Plan) -> None:
    (Path(plan.source) / "empty.csv").touch()
    assert finish(plan, run(plan)) == Counts(2 * ROWS, 0)


def test_a_place_without_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ScoringError, match=f"there are no files in {tmp_path}; name a file, or a folder with files"):
        list_files(str(tmp_path))


def test_files_that_cannot_be_scored_are_named_before_anything_is_written(plan: Plan) -> None:
    names = ("README", "damaged.parquet", "other.csv", "taken.csv", "last.csv")
    contents = ("read me", "PAR1", "text\n", "review,words_used\n", "x\n")
    for name, content in zip(names, contents, strict=True):
        (Path(plan.source) / name).write_text(content)
    with pytest.raises(
        ScoringError, match=r"README is unknown .*damaged.parquet cannot be read .* 2 more files cannot"
    ):
        run(plan)
    for name in names[:4]:
        (Path(plan.source) / name).unlink()
    with pytest.raises(ScoringError) as caught:
        run(plan)
    assert str(caught.value).startswith("there is no column 'review'") and "more files" not in str(caught.value)
    assert not Path(plan.output).exists()
    (Path(plan.source) / "last.csv").unlink()
    run(plan)
    assert len(read_ids(plan)) == 2 * ROWS


def test_only_files_that_are_left_are_looked_into(plan: Plan) -> None:
    run(plan)
    path = Path(plan.source) / "a.csv"
    seen = path.stat()
    path.write_bytes(b"x" * seen.st_size)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert not run(plan).remaining


CHANGES: list[dict[str, Any]] = [
    {"text_column": "note"},
    {"columns": Columns(MODEL.task, MODEL.labels, "other_")},
    {"part_rows": 5},
    {"encoding": "cp1252"},
    {"source": "."},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_another_job_does_not_go_on_here(plan: Plan, change: dict[str, Any]) -> None:
    run(plan)
    with pytest.raises(ScoringError, match="some things are not as they were then: .*before: .* or delete .*out to st"):
        begin(replace(plan, **change), MODEL, list_files(plan.source))


def test_a_job_goes_on_from_another_place_than_where_it_began(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    run(plan)
    monkeypatch.chdir(Path(plan.source).parent)
    assert not run(replace(plan, source="in", output="out")).remaining


def test_a_journal_that_cannot_be_read_is_named(plan: Plan) -> None:
    run(plan)
    (Path(plan.output) / JOURNAL).write_text("{")
    with pytest.raises(ScoringError, match=f"{JOURNAL} cannot be read .*; delete {plan.output} to start anew"):
        run(plan)


def test_an_output_that_is_a_file_is_refused(plan: Plan) -> None:
    Path(plan.output).touch()
    with pytest.raises(ScoringError, match="out has other files already; name another folder"):
        run(plan)


def test_a_folder_with_other_files_is_refused(plan: Plan) -> None:
    Path(plan.output).mkdir()
    (Path(plan.output) / "mine.txt").touch()
    with pytest.raises(ScoringError, match="out has other files already; name another folder"):
        run(plan)


@pytest.mark.parametrize(
    ("output", "bad_rows", "message"),
    [
        ("in/out", None, "in/out is in .*in, whose files are the input"),
        ("out", "in", "in is in .*in, whose files are the input"),
        ("out", "out", "out is in .*out, the folder of the bad rows"),
        ("bad/out", "bad", "bad/out is in .*bad, the folder of the bad rows"),
        ("link/out", None, "link/out is in .*in, whose files are the input"),
    ],
)
def test_places_that_would_mix_are_refused(
    plan: Plan, tmp_path: Path, output: str, bad_rows: str | None, message: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "in")
    bad = str(tmp_path / bad_rows) if bad_rows else None
    with pytest.raises(ScoringError, match=f"{message}.*; name another folder"):
        run(replace(plan, output=str(tmp_path / output), bad_rows=bad))


@pytest.fixture
def aside(plan: Plan, tmp_path: Path) -> Plan:
    """The plan with a place for bad rows, of which there is one."""
    rows = make_rows(ROWS)
    rows[15]["review"] = "refused"
    write_table(Path(plan.source) / "a.csv", rows)
    return replace(plan, bad_rows=str(tmp_path / "bad"))


def read_bad_rows(plan: Plan) -> list[str]:
    return [
        f"{Path(line['file']).name} {line['line']}"
        for path in sorted(Path(plan.bad_rows or "").glob("*.jsonl"))
        for line in map(json.loads, path.read_text().splitlines())
    ]


def test_bad_rows_are_counted_and_those_of_a_file_that_changed_are_removed(aside: Plan) -> None:
    assert finish(aside, run(aside)) == Counts(2 * ROWS - 1, 1)
    found = read_bad_rows(aside)
    assert len(found) == 1 and found[0].startswith("a.csv ")
    progress = run(aside)
    assert (progress.counts, progress.remaining) == (Counts(2 * ROWS - 1, 1), [])
    (Path(aside.bad_rows or "") / "mine.txt").touch()
    write_table(Path(aside.source) / "a.csv", make_rows(ROWS))
    assert finish(aside, run(aside)) == Counts(2 * ROWS, 0)
    assert read_bad_rows(aside) == []
    assert (Path(aside.bad_rows or "") / "mine.txt").exists()


def test_a_job_that_stopped_at_a_bad_row_goes_on_with_a_place_for_them(aside: Plan) -> None:
    with pytest.raises(ScoringError, match="it is refused. To leave such rows out and go on"):
        run(replace(aside, bad_rows=None))
    assert finish(aside, run(aside)) == Counts(2 * ROWS - 1, 1)
    with pytest.raises(ScoringError, match="folder of the bad rows .before: .*bad, now: None"):
        run(replace(aside, bad_rows=None))
    with pytest.raises(ScoringError, match="added columns .* or delete .*out and .*bad to start anew"):
        run(replace(aside, columns=Columns(MODEL.task, MODEL.labels, "other_")))


def test_a_folder_of_bad_rows_is_that_of_one_job(aside: Plan, tmp_path: Path) -> None:
    run(aside)
    with pytest.raises(ScoringError, match="bad has the bad rows of .*out; name another folder with --bad-rows"):
        run(replace(aside, output=str(tmp_path / "out-2")))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.txt").touch()
    with pytest.raises(ScoringError, match="mine has other files already; name another folder with --bad-rows"):
        run(replace(aside, output=str(tmp_path / "out-2"), bad_rows=str(tmp_path / "mine")))


def test_what_was_half_written_is_removed(plan: Plan) -> None:
    Path(plan.output).mkdir()
    half = Path(plan.output) / ".00000000-00000000-10-0.parquet.0123.unfinished"
    half.touch()
    run(plan)
    assert not half.exists()


def test_the_journal_is_written_only_if_it_differs(plan: Plan) -> None:
    run(plan)
    before = (Path(plan.output) / JOURNAL).stat().st_mtime_ns
    run(plan)
    assert (Path(plan.output) / JOURNAL).stat().st_mtime_ns == before


def test_an_output_that_cannot_be_made_is_named(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScoringError, match="file/out cannot be written .Not a directory"):
        run(replace(plan, output=str(tmp_path / "file" / "out")))


def test_stored_files_are_in_the_journal_as_they_are(plan: Plan) -> None:
    run(plan)
    files = json.loads((Path(plan.output) / JOURNAL).read_text())["files"]
    assert [Stored(*one) for one in files] == list_files(plan.source)
