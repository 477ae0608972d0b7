"""`python -m app score --ray` on clusters of this machine, whose actors, nodes and heads are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from pyarrow import parquet
from ray.cluster_utils import Cluster

from app.errors import EngineError, ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.display import Display
from app.scoring.folder import list_files
from app.scoring.journal import State
from app.scoring.parts import Answering, Plan
from benchmarks.nodes import MODEL, MakeWaiting, Waiting, grow, simulate
from cluster.scoring import MOST_ATTEMPTS, connect, score
from tests.app.processes.commands import ENVIRONMENT
from tests.app.scoring.conftest import ADDED, MODELS, NAME, make_rows, read_table, write_table
from tests.app.service import ROOT

SECONDS = 300  # generous: only a broken job takes so long
# Jobs on each number of nodes, in each of which an actor or a node is killed.
KILLS = {2: 4, 4: 3, 8: 3}
ROWS = 600
PART_ROWS = 20
SECONDS_A_TEXT = 0.02  # times the nodes: enough for all actors to start before the end


def start(*arguments: object, folder: Path = ROOT) -> subprocess.Popen[str]:
    """Start the command in a folder."""
    options = ["--models", str(MODELS), "--model", NAME]
    command = [sys.executable, "-m", "app", "--workers", "2", "score", *options, *map(str, arguments)]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def run(*arguments: object) -> tuple[int, str]:
    """Return the exit status and the messages of the command."""
    process = start(*arguments)
    _, error = process.communicate(timeout=SECONDS)
    return process.returncode, error


def read_output(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts, in the order of their names."""
    return [row for path in sorted(folder.glob("*.parquet")) for row in read_table(path)]


def make_plan(source: Path, output: Path, **options: Any) -> Plan:
    """Return the plan of a job without a network."""
    return Plan(str(source), str(output), None, "review", Columns(MODEL.task, MODEL.labels), **options)


def score_folder(plan: Plan, load: Callable[[], Answering]) -> State:
    """Score on the cluster that is connected."""
    return score(plan, list_files(plan.source), MODEL, load, Display(StringIO()))


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_for_parts(folder: Path, count: int) -> None:
    """Wait until the output has at least so many parts."""
    wait_until(lambda: len([*folder.glob("*.parquet")]) >= count)


def find_actors(cluster: Cluster) -> set[int]:
    """Return the processes of the actors that score on the nodes of a cluster."""
    parents = {info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes.get("raylet", [])}
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and b"MapWorker" in (path / "cmdline").read_bytes():
                found.add(int(path.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("in")
    rows = make_rows(ROWS)
    for number, name in enumerate(("a.parquet", "b.csv", "c.jsonl.gz")):
        write_table(folder / name, rows[number * ROWS // 3 : (number + 1) * ROWS // 3])
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with simulate(2) as cluster:
        yield cluster


def test_answers_are_those_of_the_local_command_to_the_bit(source: Path, cluster: Cluster, tmp_path: Path) -> None:
    arguments = [source / "a.parquet", tmp_path / "out", "--ray", cluster.address, "--part-rows", 50]
    status, error = run(*arguments)
    assert status == 0, error
    assert "\n200 rows in " in f"\n{error}"
    status, error = run(source / "a.parquet", tmp_path / "local.parquet")
    assert status == 0, error
    parts = [parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert [len(part) for part in parts] == [50] * 4
    assert arrow.concat_tables(parts).equals(parquet.read_table(tmp_path / "local.parquet"))
    status, error = run(*arguments[:3], "nowhere", *arguments[4:])  # nothing is left, so nothing is started
    assert status == 0 and "200 rows, 0 of them now, in " in error


def test_paths_are_those_of_the_command(source: Path, cluster: Cluster, tmp_path: Path) -> None:
    process = start(source.name, tmp_path / "out", "--ray", cluster.address, folder=source.parent)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(ROWS)]


def test_ray_is_started_here_without_an_address(source: Path, tmp_path: Path) -> None:
    status, error = run(f"file://{source}", tmp_path / "out", "--models", f"file://{MODELS}", "--ray")
    assert status == 0, error
    found = read_output(tmp_path / "out")
    assert [int(row["id"]) for row in found] == [*range(ROWS)] and set(ADDED) < found[0].keys()


def test_bad_rows_are_put_aside_and_another_job_does_not_go_on_here(cluster: Cluster, tmp_path: Path) -> None:
    rows = make_rows(40)
    rows[7]["review"] = 7
    (tmp_path / "in").mkdir()
    write_table(tmp_path / "in" / "my.jsonl", rows)
    arguments = [tmp_path / "in", tmp_path / "out", "--ray", cluster.address]
    status, error = run(*arguments)
    assert status == 1
    where = tmp_path / "in" / "my.jsonl"
    assert error.splitlines()[-1].startswith(f"error: {where}, line 8 has a value of the type int in the column of the")
    assert "Traceback" not in error
    arguments += ["--bad-rows", tmp_path / "bad"]
    status, error = run(*arguments)
    assert status == 3, error
    assert "39 rows" in error and f"1 row put aside in {tmp_path / 'bad'}" in error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [n for n in range(40) if n != 7]
    status, error = run(*arguments)
    assert status == 3 and "39 rows, 0 of them now, in " in error
    status, error = run(*arguments, "--prefix", "other_")
    assert status == 1 and "some things are not as they were then: added columns (before: [" in error
    write_table(tmp_path / "in" / "my.jsonl", make_rows(20))
    status, error = run(*arguments)
    assert status == 0 and "\n20 rows in " in error
    assert f"files changed or are gone, so their parts were removed: {tmp_path / 'in' / 'my.jsonl'}\n" in error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(20)]


def test_a_place_without_files_or_a_cluster_is_named(source: Path, tmp_path: Path) -> None:
    status, error = run(tmp_path, tmp_path / "out", "--ray")
    assert (status, error) == (1, f"error: there are no files in {tmp_path}; name a file, or a folder with files\n")
    status, error = run(source, tmp_path / "out", "--ray", "nowhere")
    assert status == 1 and "error: there is no cluster of Ray at nowhere (" in error and len(error.splitlines()) == 1


def test_a_cluster_that_cannot_be_used_is_named(cluster: Cluster) -> None:
    with connect(cluster.address, 1):  # a process has only one connection
        with pytest.raises(ScoringError, match=r"^Ray cannot be started here \(.*; make room for it, or give the addr"):
            connect("local", 1).__enter__()
        with pytest.raises(ScoringError, match=f"^the cluster of Ray at {cluster.address} cannot be used "):
            connect(cluster.address, 1).__enter__()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_same_command_goes_on(
    source: Path, cluster: Cluster, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    arguments = [source, tmp_path / "out", "--part-rows", 5, "--ray", cluster.address]
    process = start(*arguments)
    wait_for_parts(tmp_path / "out", 5)
    process.send_signal(number)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == status, error
    assert error.endswith("stopped; run the same command again to go on\n")
    assert run(*arguments)[0] == 0
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(ROWS)]


def test_bad_rows_are_there_once_after_an_actor_was_killed(cluster: Cluster, tmp_path: Path) -> None:
    rows = make_rows(ROWS)
    for row in rows[::50]:
        row["review"] = 7
    (tmp_path / "in").mkdir()
    write_table(tmp_path / "in" / "my.jsonl", rows)
    arguments = [tmp_path / "in", tmp_path / "out", "--bad-rows", tmp_path / "bad", "--part-rows", 5]
    process = start(*arguments, "--ray", cluster.address)
    wait_for_parts(tmp_path / "out", 5)
    os.kill(find_actors(cluster).pop(), signal.SIGKILL)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 3, error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [n for n in range(ROWS) if n % 50]
    bad = [line for path in sorted((tmp_path / "bad").glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert [json.loads(json.loads(line)["row"])["id"] for line in bad] == [*range(0, ROWS, 50)]


def test_a_part_that_ends_every_process_is_named(cluster: Cluster, tmp_path: Path) -> None:
    class Poisoned:  # within the test, so that nodes need not import this module
        def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
            if any(text.endswith(" number 17") for text in texts):
                os.kill(os.getpid(), signal.SIGKILL)
            return Waiting(0).score(texts)

    (tmp_path / "in").mkdir()
    path = write_table(tmp_path / "in" / "my.csv", make_rows(30))
    with connect(cluster.address, 1), pytest.raises(ScoringError) as caught:
        score_folder(make_plan(tmp_path / "in", tmp_path / "out", part_rows=10), Poisoned)
    assert str(caught.value).startswith(f"{path}, line 22 to 40: {MOST_ATTEMPTS} processes ended here one after the o")


def test_a_network_that_cannot_be_loaded_and_another_release_are_named(cluster: Cluster, tmp_path: Path) -> None:
    def fail() -> Waiting:
        raise EngineError("the engine is not installed")

    def lose() -> Waiting:
        raise KeyError("network")

    (tmp_path / "in").mkdir()
    write_table(tmp_path / "in" / "my.csv", make_rows(3))
    plan = make_plan(tmp_path / "in", tmp_path / "out")
    with connect(cluster.address, 1):
        with pytest.raises(EngineError, match="^the engine is not installed$"):
            score_folder(plan, fail)
        with pytest.raises(ScoringError, match=r"^a task on a node failed \(KeyError: 'network'\); the logs"):
            score_folder(plan, lose)
        with pytest.raises(ScoringError, match="a node has release .*, and the job was started with 0.0.0; install"):
            score_folder(make_plan(tmp_path / "in", tmp_path / "out-2", release="0.0.0"), fail)


def test_a_job_goes_on_after_the_command_was_killed_and_then_the_head(
    source: Path, cluster: Cluster, tmp_path: Path
) -> None:
    arguments = [source, tmp_path / "out", "--part-rows", 5, "--ray"]
    process = start(*arguments, cluster.address)
    wait_for_parts(tmp_path / "out", 5)
    process.kill()
    process.communicate(timeout=SECONDS)
    with simulate(2) as other:
        before = len([*(tmp_path / "out").glob("*.parquet")])
        process = start(*arguments, other.address)
        wait_for_parts(tmp_path / "out", before + 5)
        other.remove_node(other.head_node, allow_graceful=False)
        process.communicate(timeout=SECONDS)
        assert process.returncode != 0
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert 10 <= len(done) < ROWS // 5
    status, error = run(*arguments, cluster.address)
    assert status == 0, error
    assert [int(row["id"]) for row in read_output(tmp_path / "out")] == [*range(ROWS)]
    assert done == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in done}


def test_nodes_share_the_parts_and_no_row_is_lost_or_doubled_if_one_is_killed(
    source: Path, cluster: Cluster, tmp_path: Path
) -> None:
    chance = random.Random(7)

    def kill(what: str, others: set[int], output: Path) -> None:
        """Kill an actor or a node in the middle of a job, once every node has its actor."""
        wait_until(lambda: len(find_actors(cluster) - others) == len(cluster.worker_nodes))
        wait_for_parts(output, chance.randrange(1, ROWS // PART_ROWS // 2))
        if what == "actor":
            os.kill(chance.choice([*find_actors(cluster) - others]), signal.SIGKILL)
        else:
            cluster.remove_node(chance.choice([*cluster.worker_nodes]), allow_graceful=False)

    with connect(cluster.address, 1), ThreadPoolExecutor(1) as threads:
        for nodes, kills in KILLS.items():
            for number in range(kills):
                grow(cluster, nodes)
                output, what = tmp_path / f"{nodes}-{number}", ("actor", "node")[number % 2]
                plan = make_plan(source, output, part_rows=PART_ROWS)
                killed = threads.submit(kill, what, find_actors(cluster), output)
                state = score_folder(plan, MakeWaiting(SECONDS_A_TEXT * nodes))
                killed.result()
                assert state.scored == ROWS
                assert [int(row["id"]) for row in read_output(output)] == [*range(ROWS)]
