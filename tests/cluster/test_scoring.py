"""`python -m app score --ray` on clusters of this machine, whose nodes, actors and heads are killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet
from ray.cluster_utils import Cluster

from tests.app.processes.commands import ENVIRONMENT
from tests.app.scoring.conftest import ADDED, MODELS, NAME, make_rows, read_table, write_table
from tests.app.service import ROOT
from tests.cluster.conftest import run_cluster

MODEL = ["--models", str(MODELS), "--model", NAME]
SECONDS = 600  # generous: only a broken job takes so long
KILLS = 10
ROWS = 600
PART_ROWS = 20


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "app", "--workers", "2", "score", *map(str, arguments), *MODEL]
    environment = ENVIRONMENT | {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)


def run(*arguments: object) -> tuple[int, str]:
    """Return the exit status and the messages of the command."""
    process = start(*arguments)
    _, error = process.communicate(timeout=SECONDS)
    return process.returncode, error


def read_output(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts, in the order of their names."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in read_table(path)]


def wait_for_parts(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until the output has so many parts."""
    end = time.monotonic() + SECONDS
    while len([*folder.glob("*.parquet")]) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def find_actors() -> list[int]:
    """Return the processes of the actors that score."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"MapWorker" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("in")
    rows = make_rows(ROWS)
    for row in rows:  # longer ones, so that a part takes a moment
        row["review"] = " ".join([row["review"]] * 30)
    for number, name in enumerate(("a.parquet", "b.csv", "c.jsonl.gz")):
        write_table(folder / name, rows[number * ROWS // 3 : (number + 1) * ROWS // 3])
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with run_cluster(2) as cluster:
        yield cluster


def test_answers_are_those_of_the_local_command_to_the_bit(source: Path, cluster: Cluster, tmp_path: Path) -> None:
    options = ["--part-rows", 50]
    status, error = run(source / "a.parquet", tmp_path / "out", "--ray", cluster.address, *options)
    assert status == 0, error
    assert "\n200 rows in " in f"\n{error}"
    status, error = run(source / "a.parquet", tmp_path / "local.parquet")
    assert status == 0, error
    parts = [parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert [len(part) for part in parts] == [50] * 4
    assert arrow.concat_tables(parts).equals(parquet.read_table(tmp_path / "local.parquet"))


def test_ray_is_started_here_without_an_address(source: Path, tmp_path: Path) -> None:
    place = f"file://{source}"
    status, error = run(place, tmp_path / "out", "--models", f"file://{MODELS}", "--ray")
    assert status == 0, error
    found = read_output(tmp_path / "out")
    assert [int(row["id"]) for row in found] == [*range(ROWS)] and set(ADDED) < found[0].keys()
    status, error = run(place, tmp_path / "out", "--models", f"file://{MODELS}", "--ray")
    assert status == 0 and f"{ROWS} rows, 0 of them now, in " in error


def test_bad_rows_are_put_aside(cluster: Cluster, tmp_path: Path) -> None:
    rows = make_rows(40)
    rows[7]["review"] = 7
    (tmp_path / "in").mkdir()
    write_table(tmp_path / "in" / "my.jsonl", rows)
    arguments = [tmp_path / "in", tmp_path / "out", "--ray", cluster.address]
    status, error = run(*arguments)
    assert status == 1
    assert "error: " in error and "my.jsonl, line 8 has a value of the type int in the column of the texts" in error
    status, error = run(*arguments, "--bad-rows", tmp_path / "bad")
    assert status == 3, error
    assert "39 rows" in error and f"1 row put aside in {tmp_path / 'bad'}" in error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [n for n in range(40) if n != 7]


def test_another_job_does_not_go_on_here(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    arguments = [source / "b.csv", tmp_path / "out", "--ray", cluster.address]
    assert run(*arguments)[0] == 0
    status, error = run(*arguments, "--prefix", "other_")
    assert status == 1 and "some things are not as they were then: added columns (before: [" in error
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("")
    status, error = run(source / "b.csv", tmp_path / "taken", "--ray", cluster.address)
    assert status == 1 and "taken has other files already; name another folder" in error


def test_a_place_without_files_or_a_cluster_is_named(source: Path, tmp_path: Path) -> None:
    status, error = run(tmp_path, tmp_path / "out", "--ray")
    assert (status, error) == (1, f"error: there are no files in {tmp_path}; name a file, or a folder with files\n")
    status, error = run(source, tmp_path / "out", "--ray", "nowhere")
    assert status == 1 and "there is no cluster of Ray at nowhere" in error


@pytest.mark.parametrize("what", ["actor", "node", "run"])
def test_killed_again_and_again_it_loses_and_doubles_no_row(source: Path, tmp_path: Path, what: str) -> None:
    chance = random.Random(7)
    with run_cluster(3) as cluster:
        for number in range(KILLS if what == "actor" else KILLS // 2):
            output = tmp_path / f"out-{number}"
            arguments = [source, output, "--ray", cluster.address, "--part-rows", PART_ROWS]
            process = start(*arguments)
            wait_for_parts(output, chance.randrange(1, ROWS // PART_ROWS - 8), process)
            match what:
                case "actor":
                    os.kill(chance.choice(find_actors()), signal.SIGKILL)
                case "node":
                    cluster.remove_node(chance.choice([*cluster.worker_nodes]), allow_graceful=False)
                    cluster.add_node(num_cpus=1)
                case "run":
                    process.kill()
                    process.communicate(timeout=SECONDS)
                    process = start(*arguments)
            _, error = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, error
            assert [int(row["id"]) for row in read_output(output)] == [*range(ROWS)]


def test_a_job_goes_on_after_the_head_was_restarted(source: Path, tmp_path: Path) -> None:
    arguments = [source, tmp_path / "out", "--part-rows", PART_ROWS, "--ray"]
    with run_cluster(2) as cluster:
        process = start(*arguments, cluster.address)
        wait_for_parts(tmp_path / "out", 5, process)
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        process.communicate(timeout=SECONDS)
        assert process.returncode != 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert 5 <= len(before) < ROWS // PART_ROWS
    with run_cluster(2) as cluster:
        status, error = run(*arguments, cluster.address)
    assert status == 0, error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(ROWS)]
    assert before == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before}


@pytest.mark.parametrize("nodes", [2, 4, 8])
def test_nodes_share_the_parts(source: Path, tmp_path: Path, nodes: int) -> None:
    with run_cluster(nodes) as cluster:
        process = start(source, tmp_path / "out", "--ray", cluster.address, "--part-rows", PART_ROWS)
        wait_for_parts(tmp_path / "out", 1, process)
        assert len(find_actors()) == nodes
        _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(ROWS)]
