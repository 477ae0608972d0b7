"""`python -m training import`, as a shell calls it."""

import json
from pathlib import Path

import keras
import pytest
from keras import layers

from bundle.files import hash_file
from bundle.reviews import WordCoding
from bundle.store import Store
from tests.conftest import leftovers
from tests.training.commands.command import check_error, check_usage, one_line, run

WORDS = ("<pad>", "<unk>", "film", "good", "bad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, another one without an activation, and their words."""
    folder = tmp_path_factory.mktemp("import")
    keras.utils.set_random_seed(0)
    for name, activation in (("model.keras", "sigmoid"), ("logits.keras", None)):
        answer = layers.Dense(1, activation, kernel_initializer=keras.initializers.RandomNormal(stddev=20.0))
        stack = [keras.Input((6,)), layers.Embedding(5, 4, "normal"), layers.LSTM(3), answer]
        keras.Sequential(stack).save(folder / name)
    (folder / "words.txt").write_text("\n".join(WORDS))
    return folder


def import_model(
    folder: Path, models: Path, *options: str | Path, model: str = "model.keras"
) -> tuple[str | Path, ...]:
    coding = ("--vocabulary", folder / "words.txt", "--tokeniser", "whitespace")
    return ("import", folder / model, *coding, "--labels", "no, yes", "--name", "mine", "--models", models, *options)


def test_a_model_is_published_with_its_coding_and_its_origin(folder: Path, tmp_path: Path) -> None:
    result = run(*import_model(folder, tmp_path, "--lower"))
    assert result.exit_code == 0, result.output
    bundle = Store(tmp_path).open("mine")
    manifest = bundle.manifest
    assert isinstance(manifest.preprocessing, WordCoding) and manifest.labels == ("no", "yes")
    assert manifest.recipe == {
        "imported": {
            "file": "model.keras",
            "sha256": hash_file(folder / "model.keras"),
            "keras": keras.__version__,
            "logits": False,
            "compared_examples": 0,
        }
    }
    assert (manifest.dataset.sha256, manifest.dataset.test_examples, manifest.metrics) == (None, 0, {})
    assert manifest.onnx and manifest.onnx.every_step
    shown = one_line(result.stdout)
    for part in ("id 0, on the right", "id 1", "film | good | bad", "2 3 4", "pass --examples"):
        assert part in shown
    assert f"  python -m app --models {tmp_path}\n" in result.stdout
    assert result.stdout.endswith(f"Published {bundle.folder}\n")
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "It was not compared: no examples were given." in card and "| unknown words | id 1 |" in card


def test_a_published_model_without_a_recipe_is_not_evaluated(folder: Path, tmp_path: Path) -> None:
    assert run(*import_model(folder, tmp_path)).exit_code == 0
    for command in ("evaluate", "export"):
        check_error(
            run(command, tmp_path / "mine" / "1"),
            "mine/1 was imported from model.keras; its recipe and data are unknown",
        )
    assert run("list", "--models", tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("logits.keras", [], "no probability: if these are logits, pass --logits"),
        ("model.keras", ["--labels", "yes"], "there are 1 labels, and a bundle has 2"),
        ("model.keras", ["--unknown-id", "none"], "line 2: '<unk>' has the id 1 by its place, --unknown-id is none"),
        ("none.keras", [], "No such file or directory.*none.keras.*; nothing was published"),
        ("words.txt", [], "is neither a .keras file nor HDF5"),
        ("model.keras", ["--examples", "none.csv"], "No such file or directory.*none.csv"),
    ],
)
def test_what_cannot_be_published_leaves_nothing(
    folder: Path, tmp_path: Path, model: str, options: list[str], message: str
) -> None:
    check_error(run(*import_model(folder, tmp_path, *options, model=model)), message)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start-id", "x"], "--start-id is 'x'; pass a number from 0, or none"),
        (["--name", "My Model"], "'My Model' cannot name a bundle"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path, options: list[str], message: str) -> None:
    check_usage(run(*import_model(folder, tmp_path, *options)), message)
    assert [*tmp_path.iterdir()] == []


def test_logits_get_their_activation(folder: Path, tmp_path: Path) -> None:
    assert run(*import_model(folder, tmp_path, "--logits", "--start-id", "none", model="logits.keras")).exit_code == 0


def test_a_model_that_answers_otherwise_is_not_published(folder: Path, tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text(json.dumps({"text": "good film", "ids": [0, 0, 0, 0, 3, 2], "probability": 0.123}) + "\n")
    models = tmp_path / "models"
    result = run(*import_model(folder, models, "--examples", examples))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:4] == [
        "error: the bundle makes other ids than your code for the example on line 1; nothing was published",
        "  words: good | film",
        "  ids: 3 2 0 0 0 0",
        "  ids of your code: 0 0 0 0 3 2",
    ]
    assert leftovers(models) == []
