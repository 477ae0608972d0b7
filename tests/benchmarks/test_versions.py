import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import ROOT
from benchmarks.versions import Memory, find_p99
from tests.conftest import SECONDS


def test_the_growth_is_that_since_the_first_fifty_reloads() -> None:
    assert Memory({1: 100.0, 50: 120.0, 1000: 126.0}).growth == pytest.approx(1.05)


def test_the_99th_percentile_leaves_out_the_slowest_hundredth() -> None:
    assert find_p99([*range(100), 1000.0]) == 99


def test_a_real_service_loses_nothing_while_versions_change(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.versions", "--cycles", "1", "--clients", "4", "--reloads", "50"]
    ended = subprocess.run(
        [*command, "--workers", "1", "--out", tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=2 * SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    assert "memory after 50 reloads / after 50: 1.000" in ended.stdout
    found = json.loads((tmp_path / "versions.json").read_text())
    assert found["cycles"]["failed"] == 0 and found["cycles"]["requests"] > 100
    assert len(found["cycles"]["publish_seconds"]) == len(found["cycles"]["roll_back_seconds"]) == 1
