"""What is trained with one backend of Keras is served with another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from app.settings import Settings
from bundle.store import open_bundle
from tests.conftest import SMALL_RECIPES, serve
from training import pipeline

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_bundle_trained_on_another_backend_is_served_on_tensorflow(
    tmp_path: Path, reviews: Path, backend: str
) -> None:
    pytest.importorskip(backend)
    command: list[str | Path] = [sys.executable, "-m", "training", "train", "sentiment", "--data", reviews]
    command += ["--models", tmp_path / "models", "--runs", tmp_path / "runs"]
    for assignment in SMALL_RECIPES["sentiment"]:
        # The worst case is the one part that every backend has of its own.
        command += ["--set", assignment.replace("adversarial=none", "adversarial=virtual")]
    trained = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert trained.returncode == 0, trained.stderr
    bundle = open_bundle(tmp_path / "models" / "sentiment" / "1")
    assert backend in bundle.manifest.frameworks and "tensorflow" not in bundle.manifest.frameworks

    evaluation, _ = pipeline.evaluate_bundle(bundle, reviews, Console(quiet=True))
    for name, value in evaluation.metrics.items():
        assert value == pytest.approx(bundle.manifest.metrics[name], abs=1e-5)
    texts = [path.read_text() for path in sorted(reviews.glob("test/neg/*"), key=lambda path: int(path.stem[:-2]))]
    with serve(Settings(models=tmp_path / "models")) as client:
        answers = client.post("/sentiment/batch", json={"texts": texts}).json()["answers"]
    found = [answer["probability_positive"] for answer in answers]
    expected = evaluation.probabilities[evaluation.labels == 0, 1]
    assert sorted(found) == pytest.approx(sorted(expected), abs=1e-5)
