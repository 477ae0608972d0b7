"""The programs and commands of docs/own-model.md are run as they stand, and what they publish is served."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest

from app.settings import Settings
from bundle.store import Store
from tests.conftest import serve
from tests.training.commands.command import run

PAGE = (Path(__file__).parent.parent / "docs" / "own-model.md").read_text(encoding="utf-8")
OPENING, *SECTIONS = PAGE.split("\n## ")
JOURNEYS = [section for section in SECTIONS if "```python" in section]


def find_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_command(command: str, *more: str) -> None:
    words = shlex.split(command.replace("\\\n", ""))
    assert words[:3] == [".venv/bin/python", "-m", "training"]
    result = run(*words[3:], *more)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the bundles of all journeys."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for section in JOURNEYS:
            keras.utils.set_random_seed(0)
            scope: dict[str, Any] = {}
            for program in (*find_blocks(OPENING, "python"), *find_blocks(section, "python")):
                exec(program, scope)
            (command,) = find_blocks(section, "sh")
            run_command(command)
    yield folder / "models"


def test_every_journey_publishes_a_bundle(models: Path) -> None:
    names = re.findall(r"--name (\S+)", "".join(JOURNEYS))
    assert len(names) == len(JOURNEYS) == 6
    store = Store(models)
    assert store.names() == sorted(names)
    bundles = {name: store.open(name) for name in names}
    assert [name for name, bundle in bundles.items() if not bundle.manifest.onnx] == ["other-reviews"]
    for bundle in bundles.values():
        card = (bundle.folder / "README.md").read_text(encoding="utf-8")
        assert "Its answers to 6 examples of its own code differ by at most" in card
        assert bundle.manifest.dataset.name == "unknown" and not bundle.manifest.metrics


def test_the_bundles_are_served(models: Path) -> None:
    *_, request = find_blocks(PAGE, "sh")
    body = json.loads(re.findall(r"-d '(.*)'", request)[0])
    store = Store(models)
    with serve(Settings(models=models)) as client:
        answer = ask(client, body)
        assert set(answer["probabilities"]) == {"negative", "neutral", "positive"}
        assert answer["sentiment"] == max(answer["probabilities"], key=answer["probabilities"].get)
        for name in ("tokenizer-reviews", "vectorized-reviews", "old-reviews", "other-reviews", "torch-reviews"):
            bundle = store.open(name)
            network = keras.saving.load_model(bundle.model_path)
            ids = bundle.codec.encode("a wonderful film").ids  # type: ignore[attr-defined]
            (expected,) = network.predict(bundle.codec.pad([ids]), verbose=0)[0]
            found = ask(client, {"model": name, "text": "a wonderful film"})["probability_positive"]
            np.testing.assert_allclose(found, expected, atol=1e-5)


def ask(client: httpx.Client, body: object) -> dict[str, Any]:
    response = client.post("/sentiment", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer
