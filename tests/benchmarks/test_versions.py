import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import ROOT
from benchmarks.shutdown import Run
from benchmarks.versions import LOADED, LOADING, Change, Load, Memory, find_p99, list_targets
from tests.conftest import SECONDS

MEMORY = Memory({1: 100.0, 50: 120.0, 1000: 126.0})
GOOD = Load("changes", 100, 1000, 0, 0.02, 0.03), Load("shadow requests", 10, 100, 0, 0.02, 0.09)
CHANGES = [Change(0.5, 1.5), Change(0.9, 4.0)]
RUNS = [Run(LOADING, 100, 10, 0, 1.5), Run(LOADED, 100, 10, 0, 1.4)]


def test_the_growth_is_that_since_the_first_fifty_reloads() -> None:
    assert MEMORY.growth == pytest.approx(1.05)
    assert Memory({1: 100.0, 5: 120.0}).growth is None


def test_the_99th_percentile_leaves_out_the_slowest_hundredth() -> None:
    assert find_p99([*range(100), 1000.0]) == 99


def test_a_good_run_reaches_all_floors_and_goals() -> None:
    targets = list_targets(GOOD, CHANGES, Memory({50: 100.0, 1000: 101.0}), RUNS)
    assert len(targets) == 7
    assert all(target.reaches(target.floor) and target.reaches(target.goal) for target in targets)


@pytest.mark.parametrize(
    ("loads", "changes", "memory", "runs", "missed"),
    [
        ((GOOD[0], Load("shadow requests", 10, 100, 1, 0.02, 0.03)), CHANGES, MEMORY, RUNS, "failed requests"),
        (GOOD, [*CHANGES, Change(3.1, 1.5)], MEMORY, RUNS, "published everywhere, s"),
        (GOOD, CHANGES, Memory({50: 100.0, 100: 106.0}), RUNS, "memory after 100 reloads / after 50"),
        (GOOD, CHANGES, MEMORY, [*RUNS, Run(LOADING, 100, 10, 1, 1.5)], "SIGTERM: lost requests"),
        (GOOD, CHANGES, MEMORY, [*RUNS, Run(LOADING, 9, 1, 0, 16)], "SIGTERM: s until the service has ended"),
        (GOOD, CHANGES, MEMORY, RUNS[1:], "SIGTERM: services that were still loading"),
    ],
)
def test_one_bad_figure_misses_its_floor(
    loads: list[Load], changes: list[Change], memory: Memory, runs: list[Run], missed: str
) -> None:
    targets = list_targets(loads, changes, memory, runs)
    assert [target.name for target in targets if not target.reaches(target.floor)] == [missed]


def test_a_real_service_loses_nothing_while_versions_change(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.versions", "--cycles", "1", "--shadow", "1", "--clients", "4"]
    ended = subprocess.run(
        [*command, "--reloads", "2", "--sigterm", "1", "--workers", "1", "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "| failed requests " in ended.stdout
    found = json.loads((tmp_path / "versions.json").read_text())
    assert [(load["cycles"], load["failed"]) for load in found["loads"]] == [(1, 0), (1, 0)]
    assert all(load["requests"] > 100 for load in found["loads"])
    (change,) = found["changes"]
    assert change["published"] < 3
    (inputs,) = found["shadow_inputs"]
    assert inputs["agrees"] > 0 and inputs["differs"] == 0
    assert found["memory"]["by_reloads"].keys() == {"1", "2"}
    (run,) = found["sigterm"]
    assert run["before"] > 0 and run["after"] > 0 and run["lost"] == 0
