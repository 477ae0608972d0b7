"""Wrong places are found before anything is read or started, and nothing is written there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import ScoringError
from app.scoring.job import Job, check_places, is_stream
from app.scoring.run import score
from tables.formats import open_table
from tables.inputs import FileInput
from tables.table import Table
from tests.app.scoring.conftest import make_rows, needs_pyarrow, write_table
from tests.rights import modes_hold

Check = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return open_table(FileInput(write_table(tmp_path / "my.csv", make_rows(3))))


@pytest.fixture
def check(tmp_path: Path, table: Table) -> Check:
    """A function that checks a job with files in the folder of the test."""

    def check(output: str | None, bad_rows: str | None = None, table: Table = table) -> None:
        before = sorted(tmp_path.rglob("*"))
        bad = tmp_path / bad_rows if bad_rows else None
        try:
            check_places(table, Job(tmp_path / output if output else None, ("review",), "", bad))
        finally:
            assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.mark.parametrize(
    ("output", "bad_rows", "message"),
    [
        ("my.csv", None, "my.csv is the input and stays as it is; name another file as the output"),
        ("link.csv", None, "my.csv is the input and stays as it is; name another file as the output"),
        ("hard.csv", None, "my.csv is the input and stays as it is"),
        ("out.csv", "my.csv", "my.csv is the input and stays as it is; name another file as the file of the bad rows"),
        ("out.csv", "out.csv", "--bad-rows names .*out.csv, where the output is written; name another file"),
        ("out.csv", "folder/../out.csv", "where the output is written"),
        ("out.csv", "out.csv.part", "where the output is written"),
        ("out.csv", "out.csv.progress", "where the output is written"),
        ("old.csv", None, "old.csv is there already; delete it, or name another file"),
        ("out.csv", "old.csv", "old.csv is there already"),
        ("folder", None, "folder is a folder; name a file in it as the output"),
        ("out.csv", "folder", "folder is a folder; name a file in it as the file of the bad rows"),
        ("none/out.csv", None, r"there is no folder .*none for out.csv; make it \(mkdir -p .*none\), or name another"),
        ("out.csv", "none/bad", "there is no folder .*none for bad"),
        ("out.jsonl", None, "out.jsonl is to have the format of the input; give it the suffix .csv"),
    ],
)
def test_a_wrong_place_is_refused(
    tmp_path: Path, check: Check, output: str, bad_rows: str | None, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.csv").write_text("precious")
    (tmp_path / "link.csv").symlink_to(tmp_path / "my.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "my.csv")
    with pytest.raises(ScoringError, match=message):
        check(output, bad_rows)


@needs_pyarrow
def test_an_input_that_would_be_the_part_of_the_output_is_refused(tmp_path: Path, check: Check) -> None:
    table = open_table(FileInput(write_table(tmp_path / "my.parquet", make_rows(3)).rename(tmp_path / "out.pq.part")))
    with pytest.raises(ScoringError, match="out.pq.part is the input and stays as it is"):
        check("out.pq", None, table)


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path, check: Check) -> None:
    (tmp_path / "folder").mkdir(mode=0o500)
    with modes_hold(), pytest.raises(ScoringError, match="folder is not writable; make it so, or name another folder"):
        check("folder/out.csv")


def test_nothing_is_started_for_a_wrong_place(tmp_path: Path, table: Table) -> None:
    def fail() -> Any:
        raise AssertionError

    with pytest.raises(ScoringError, match="is the input"):
        score(table, Job(tmp_path / "my.csv", ("review",)), fail, fail)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["out.csv", "OUT.CSV.GZ", "out", "out.gz"])
def test_names_of_the_format_are_taken(tmp_path: Path, check: Check, name: str) -> None:
    check(name, "bad")
    assert Job(tmp_path / name, ("review",)).is_packed == name.lower().endswith(".gz")


@needs_pyarrow
def test_parquet_is_neither_compressed_as_a_whole_nor_written_to_a_pipe(tmp_path: Path, check: Check) -> None:
    table = open_table(FileInput(write_table(tmp_path / "my.parquet", make_rows(3))))
    check("out.pq", None, table)
    with pytest.raises(ScoringError, match="give it the suffix .parquet or .pq"):
        check("out.parquet.gz", None, table)
    with pytest.raises(ScoringError, match="standard output is no file, and Parquet cannot be written to a pipe; name"):
        check(None, None, table)
    with pytest.raises(ScoringError, match="/dev/null is no file, and Parquet cannot be written to a pipe"):
        check("/dev/null", None, table)


def test_pipes_and_devices_are_streams(tmp_path: Path, check: Check) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "/dev/null", "/dev/full", "/dev/stdout"):
        assert is_stream(tmp_path / name)
        check(name, "/dev/null")
    assert is_stream(None)
    assert not any(is_stream(tmp_path / name) for name in ("my.csv", "none", ".", "my.csv/below"))
