"""The benchmark of clusters, made small."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from benchmarks import nodes, scale
from benchmarks.environments import ROOT


def test_a_wait_takes_its_time_and_answers_every_text() -> None:
    started = time.monotonic()
    assert len(nodes.MakeWaiting(0.01)().score(["a", "bc"])) == 2
    assert time.monotonic() - started >= 0.02


@pytest.mark.ray
def test_each_way_is_measured_and_compared(reviews: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    models = tmp_path / "models"
    models.mkdir()
    (models / "imdb-500").symlink_to(ROOT / "models" / "imdb-500")
    chosen = ["--data", str(reviews), "--models", str(models), "--model", "imdb-500", "--out", str(tmp_path)]
    short = "--reviews 40 --rows 50 --nodes 1 --nodes 2 --seconds 1 --rounds 1".split()
    environment = os.environ | {"LSTM_SERVE_WORKERS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *chosen, *short],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "scale.json").read_text())["measurements"]
    ways = [scale.LOCAL, scale.RAY, "1 simulated node", "2 simulated nodes", scale.SERVICE, scale.RAY_SERVE]
    assert [one["way"] for one in found] == ways
    assert all(one["rate"] > 0 for one in found)
    assert f"| {scale.RAY} " in ended.stdout
    assert (tmp_path / "scale.png").exists() and "1.00" in (tmp_path / "scale.md").read_text()
