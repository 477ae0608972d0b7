import io
import json
import pickle
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow
from pyarrow import parquet

from app.errors import ScoringError
from app.scoring.answers import Columns
from app.scoring.display import Display
from app.scoring.job import Job
from app.scoring.parts import PART_CHARACTERS, Counts, Part, Plan, read_parts, score_part
from app.scoring.run import score
from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import FileInput
from tables.storage import Storage
from tests.app.scoring.conftest import ADDED, HereScorer, MakeScorer, every_format, make_rows, read_table, write_table


def make_plan(folder: Path, scorer: Any, **options: Any) -> Plan:
    """Return the plan of the files of a folder."""
    columns = Columns(scorer.model.task, scorer.model.labels, options.pop("prefix", ""))
    place = str(folder / "out" / "bad") if options.pop("has_place", False) else None
    return Plan(str(folder / "in"), str(folder / "out"), place, options.pop("text", "review"), columns, **options)


def run(plan: Plan, scorer: Any, only: range = range(99), done: frozenset[int] = frozenset()) -> list[Counts]:
    """Score the parts of all files, those of these numbers in each."""
    counts = []
    for number, stored in enumerate(Storage(plan.source).list()):
        for part in read_parts(plan, number, stored, done):
            if part.number in only:
                counts.append(score_part(plan, part, scorer))
    return counts


def read_all(plan: Plan) -> list[Part]:
    """Return the parts of the first file."""
    return [*read_parts(plan, 0, Storage(plan.source).list()[0], set())]


def score_here(source: Path, output: Path, scorer: HereScorer) -> None:
    """Score a file as the local command does."""
    score(open_table(FileInput(source)), Job(output, ("review",)), lambda: scorer, Display(io.StringIO()))


def read_parts_back(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts in the order of their names."""
    return [row for path in sorted((folder / "out").glob("*.parquet")) for row in read_table(path)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out" / "bad").mkdir(parents=True)
    return tmp_path


@every_format
def test_parts_have_the_rows_and_answers_of_the_local_command(
    folder: Path, make_scorer: MakeScorer, format: str
) -> None:
    source = write_table(folder / "in" / f"my.{format}", make_rows(150))
    scorer = make_scorer()
    score_here(source, folder / f"local.{format}", scorer)
    counts = run(make_plan(folder, scorer, part_rows=40), scorer)
    assert [(one.scored, one.bad) for one in counts] == [(40, 0), (40, 0), (40, 0), (30, 0)]
    assert sum(one.size for one in counts) == pytest.approx(source.stat().st_size)
    found = read_parts_back(folder)
    assert [[str(row[name]) for name in ("id", "review", "note")] for row in found] == [
        [str(row[name]) for name in ("id", "review", "note")] for row in make_rows(150)
    ]
    local = read_table(folder / f"local.{format}")
    assert [[row[name] for name in ADDED] for row in found] == [[row[name] for name in ADDED] for row in local]
    assert list(found[0]) == list(local[0])


def test_parquet_is_that_of_the_local_command_to_the_bit(folder: Path, make_scorer: MakeScorer) -> None:
    table = arrow.table(
        {
            "review": arrow.array(["a wonderful film", None, "", "tender"] * 15).dictionary_encode(),
            "tags": [["x"], [], None] * 20,
        }
    ).replace_schema_metadata({"mine": "kept"})
    parquet.write_table(table, folder / "in" / "my.parquet")
    scorer = make_scorer()
    score_here(folder / "in" / "my.parquet", folder / "local.parquet", scorer)
    run(make_plan(folder, scorer, part_rows=25), scorer)
    parts = [parquet.read_table(path) for path in sorted((folder / "out").glob("*.parquet"))]
    local = parquet.read_table(folder / "local.parquet")
    assert [len(part) for part in parts] == [25, 25, 10]
    assert arrow.concat_tables(parts).equals(local, check_metadata=True)


def test_parts_that_are_done_are_not_read_again(folder: Path, make_scorer: MakeScorer) -> None:
    write_table(folder / "in" / "my.csv", make_rows(100))
    scorer = make_scorer()
    plan = make_plan(folder, scorer, part_rows=30)
    run(plan, scorer, only=range(1, 3))
    calls = scorer.calls
    run(plan, scorer, done=frozenset({1, 2}))
    assert scorer.calls == calls + 2
    assert [int(row["id"]) for row in read_parts_back(folder)] == [*range(100)]


def test_a_part_that_is_scored_twice_is_there_once(folder: Path, make_scorer: MakeScorer) -> None:
    write_table(folder / "in" / "my.csv", make_rows(20))
    plan = make_plan(folder, make_scorer())
    for _ in range(2):
        run(plan, make_scorer())
    assert [path.name for path in (folder / "out").glob("*.parquet")] == ["00000000-00000000-20-0-last.parquet"]


def test_bad_rows_go_to_a_file_of_each_part(folder: Path, make_scorer: MakeScorer) -> None:
    rows: list[dict[str, Any]] = [
        {"sequence": "AB"},
        {"sequence": None},
        {"sequence": "ÄÖ"},
        {"sequence": "XY"},
        {"sequence": "\ud800"},
        {"sequence": ["AB"]},
    ]
    write_table(folder / "in" / "my.jsonl", rows * 3)
    scorer = make_scorer("next-letter")
    plan = make_plan(folder, scorer, text="sequence", has_place=True, part_rows=6)
    assert [(one.scored, one.bad) for one in run(plan, scorer)] == [(3, 3)] * 3
    lines = [json.loads(line) for line in (folder / "out" / "bad" / "00000000-00000001.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == [9, 11, 12]
    assert lines[0]["reason"].startswith("cannot be scored: ")
    assert lines[1]["reason"] == "has a lone surrogate ('\\ud800'), which Parquet cannot have; remove it"
    assert lines[2]["reason"] == "has a value of the type list in the column of the texts; a text was expected"
    assert [json.loads(line["row"]) for line in lines] == [rows[2], rows[4], rows[5]]
    assert {line["file"] for line in lines} == {str(folder / "in" / "my.jsonl")}


def test_without_a_place_the_first_bad_row_ends_it(folder: Path, make_scorer: MakeScorer) -> None:
    write_table(folder / "in" / "a.jsonl", [{"sequence": "AB"}, {"sequence": "ÄÖ"}])
    scorer = make_scorer("next-letter")
    plan = make_plan(folder, scorer, text="sequence")
    with pytest.raises(
        ScoringError, match="a.jsonl, line 2 cannot be scored: .* To leave such rows out and go on, run"
    ):
        run(plan, scorer)
    write_table(folder / "in" / "a.jsonl", [{"sequence": "AB"}, {"sequence": 5}])
    with pytest.raises(ScoringError, match="a.jsonl, line 2 has a value of the type int in the column of the texts"):
        run(plan, scorer)
    assert not [*(folder / "out").glob("*.parquet")]


def test_a_part_of_bad_rows_only_is_written_too(folder: Path, make_scorer: MakeScorer) -> None:
    (folder / "in" / "my.csv").write_text("review,id\n1,2,3\n")
    plan = make_plan(folder, make_scorer(), has_place=True)
    run(plan, make_scorer())
    assert parquet.read_table(folder / "out" / "00000000-00000000-0-1-last.parquet").schema.names == [
        *("review", "id"),
        *ADDED,
    ]


def test_a_file_with_a_header_alone_has_one_part(folder: Path, make_scorer: MakeScorer) -> None:
    (folder / "in" / "my.csv").write_text("review\n")
    plan = make_plan(folder, make_scorer())
    assert [(one.scored, one.bad) for one in run(plan, make_scorer())] == [(0, 0)]
    assert [path.name for path in (folder / "out").glob("*.parquet")] == ["00000000-00000000-0-0-last.parquet"]


def test_values_of_json_that_are_no_texts_are_json(folder: Path, make_scorer: MakeScorer) -> None:
    rows: list[dict[str, Any]] = [{"review": "good", "stars": 5}, {"review": "\\ud bad", "new": {"ü": [1, None]}}]
    write_table(folder / "in" / "my.jsonl", rows)
    run(make_plan(folder, make_scorer(), prefix="my_"), make_scorer())
    found = parquet.read_table(next((folder / "out").glob("*.parquet"))).to_pylist()
    assert [(row["stars"], row["new"]) for row in found] == [("5", None), (None, '{"ü": [1, null]}')]
    assert [*found[0]][3:] == [f"my_{name}" for name in ADDED]


LONG = "a dull film " * (PART_CHARACTERS // 24 + 1)
LARGE_ROWS = {
    "my.csv": "review,note\n" + f"good,{LONG}\n" * 3,
    "my.jsonl": f'{{"review": null, "note": "{LONG}"}}\n' * 3,
    "bad.csv": "review,note\n" + f"good,{LONG},more\n" * 3,
}


@pytest.mark.parametrize("name", LARGE_ROWS)
def test_a_part_has_few_large_rows(folder: Path, make_scorer: MakeScorer, name: str) -> None:
    (folder / "in" / name).write_text(LARGE_ROWS[name])
    parts = read_all(make_plan(folder, make_scorer()))
    assert [len(pickle.loads(part.rows)[1].rows) for part in parts] == [2, 1]
    lines = (1, 2, 3) if name == "my.jsonl" else (2, 3, 4)
    where = str(folder / "in" / name)
    assert [part.where for part in parts] == [
        f"{where}, line {lines[0]} to {lines[1]}",
        f"{where}, line {lines[2]} to {lines[2]}",
    ]


def test_a_part_has_few_large_rows_of_parquet(folder: Path, make_scorer: MakeScorer) -> None:
    parquet.write_table(arrow.table({"review": ["good"] * 3, "note": [LONG] * 3}), folder / "in" / "my.parquet")
    parts = read_all(make_plan(folder, make_scorer()))
    assert [len(pickle.loads(part.rows)[1].rows) for part in parts] == [2, 1]


def test_a_file_that_changes_while_it_is_read_is_named(folder: Path, make_scorer: MakeScorer) -> None:
    source = write_table(folder / "in" / "my.csv", make_rows(50))
    plan = make_plan(folder, make_scorer(), part_rows=20)
    (stored,) = Storage(plan.source).list()
    parts = read_parts(plan, 0, stored, set())
    next(parts)
    source.write_bytes(source.read_bytes() + b"\n")
    message = f"{source} changed while the job ran; run the same command again to do its parts again"
    with pytest.raises(ScoringError, match=message):
        deque(parts)
    with pytest.raises(ScoringError, match=message):
        next(read_parts(plan, 0, stored, set()))
    source.unlink()
    with pytest.raises(ScoringError, match=f"{source} is gone, or it is not where every node sees it"):
        next(read_parts(plan, 0, stored, set()))


def test_another_release_is_refused(folder: Path, make_scorer: MakeScorer) -> None:
    write_table(folder / "in" / "my.csv", make_rows(1))
    plan = make_plan(folder, make_scorer(), release="0.0.0")
    with pytest.raises(ScoringError, match="a node has release .*, and the job was started with 0.0.0; install the"):
        read_all(plan)


def test_a_file_without_the_column_or_with_an_added_one_is_refused(folder: Path, make_scorer: MakeScorer) -> None:
    plan = make_plan(folder, make_scorer())
    (folder / "in" / "my.csv").write_text("text,id\n")
    with pytest.raises(TableError, match="there is no column 'review'"):
        run(plan, make_scorer())
    (folder / "in" / "my.csv").write_text("review,words_used\n")
    with pytest.raises(ScoringError, match="has already the column 'words_used'"):
        run(plan, make_scorer())
    (folder / "in" / "my.csv").write_text("review,id,id\n")
    with pytest.raises(TableError, match="there are several columns 'id'; rename all but one"):
        run(plan, make_scorer())


def test_an_output_that_cannot_be_written_is_named(folder: Path, make_scorer: MakeScorer) -> None:
    write_table(folder / "in" / "my.csv", make_rows(3))
    shutil.rmtree(folder / "out")
    with pytest.raises(ScoringError, match="out cannot be written .* a place that every node can write, and run the s"):
        run(make_plan(folder, make_scorer()), make_scorer())
