"""The benchmark of clusters, made small."""

import json
import time
from pathlib import Path

import pytest
from pytest import CaptureFixture

pytest.importorskip("pyarrow")

from benchmarks import nodes, scale
from benchmarks.environments import ROOT


def test_a_wait_takes_its_time_and_answers_every_text() -> None:
    started = time.monotonic()
    assert len(nodes.MakeWaiting(0.01)().score(["a", "bc"])) == 2
    assert time.monotonic() - started >= 0.02


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_each_way_is_measured_and_compared(
    reviews: Path, tmp_path: Path, capsys: CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    models = tmp_path / "models"
    models.mkdir()
    (models / "imdb-500").symlink_to(ROOT / "models" / "imdb-500")
    monkeypatch.setenv("LSTM_SERVE_WORKERS", "1")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setattr(scale, "NODES", (1, 2))
    scale.main(reviews, models, "imdb-500", 40, 50, 1.0, 1, 1, tmp_path)
    found = json.loads((tmp_path / "scale.json").read_text())["measurements"]
    ways = [scale.LOCAL, scale.RAY, "1 simulated node", "2 simulated nodes", scale.SERVICE, scale.RAY_SERVE]
    assert [one["way"] for one in found] == ways
    assert all(one["rate"] > 0 for one in found)
    assert f"| {scale.RAY} " in capsys.readouterr().out
    assert (tmp_path / "scale.png").exists() and "1.00" in (tmp_path / "scale.md").read_text()
