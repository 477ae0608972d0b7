"""The benchmark of files, made small."""

import json
from pathlib import Path

import pytest
from pytest import CaptureFixture

from benchmarks import scoring
from benchmarks.environments import ROOT
from tests.app.scoring.conftest import needs_pyarrow


@needs_pyarrow
def test_each_way_is_measured_and_compared(
    reviews: Path, tmp_path: Path, capsys: CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "imdb-500").symlink_to(ROOT / "models" / "imdb-500")
    monkeypatch.setenv("LSTM_SERVE_WORKERS", "1")
    scoring.main(reviews, models, "imdb-500", 40, 300, 1, tmp_path)
    found = json.loads((tmp_path / "scoring.json").read_text())
    assert [one["way"] for one in found["measurements"]] == [scoring.ENGINE, scoring.FILE, scoring.SCRIPT]
    assert all(one["rate"] == pytest.approx(40 / one["seconds"]) for one in found["measurements"])
    assert 20 < max(found["memory"]) < 2000
    assert f"| {scoring.FILE} " in capsys.readouterr().out
    assert (tmp_path / "scoring.png").exists() and "1.00" in (tmp_path / "scoring.md").read_text()
