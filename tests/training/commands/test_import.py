"""`python -m training import`, as a shell calls it."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from keras import layers

from bundle.files import hash_file
from bundle.reviews import WordCoding
from bundle.store import Store
from tests.conftest import leftovers
from tests.training.commands.command import ROOT, check_error, check_usage, one_line, run

NOT_COMPARED = (
    "Not compared with your own code: pass --examples, a file of texts with the probabilities that it answers.\n"
)
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
            "written_by": f"Keras {keras.__version__}",
            "logits": False,
            "compared_examples": 0,
        }
    }
    assert (manifest.dataset.sha256, manifest.dataset.test_examples, manifest.metrics) == (None, 0, {})
    assert manifest.onnx and manifest.onnx.every_step
    shown = one_line(result.stdout)
    for part in ("id 0, on the right", "id 1", "film | good | bad", "2 3 4"):
        assert part in shown
    assert result.stderr == NOT_COMPARED
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
        ("logits.keras", [], "without an activation, so .* no probabilities: if its outputs are logits, pass --logits"),
        ("model.keras", ["--logits"], "with the activation sigmoid, so its outputs are no logits; leave --logits out"),
        ("model.keras", ["--labels", "yes"], "--labels has 1 .yes., and a bundle has 2 to 50; separate them by commas"),
        ("model.keras", ["--labels", "yes,yes"], "the label 'yes' occurs twice"),
        ("model.keras", ["--packed"], "--packed belongs to a state dict of PyTorch; leave it out"),
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


def test_a_quiet_import_still_says_that_it_was_not_compared(folder: Path, tmp_path: Path) -> None:
    result = run(*import_model(folder, tmp_path, "--quiet"))
    assert result.stdout == f"Published {tmp_path / 'mine' / '1'}\n"
    assert result.stderr == NOT_COMPARED


def test_a_network_that_cannot_be_exported_is_published_for_tensorflow(folder: Path, tmp_path: Path) -> None:
    stack = [keras.Input((6,)), layers.Embedding(5, 4), layers.GRU(3, name="reader"), layers.Dense(1, "sigmoid")]
    keras.Sequential(stack).save(tmp_path / "gru.keras")
    result = run(*import_model(folder, tmp_path / "models", model=str(tmp_path / "gru.keras")))
    assert result.exit_code == 0, result.output
    assert "No model.onnx: the layer 'reader' (GRU) cannot be exported to ONNX. The service runs" in result.stdout
    bundle = Store(tmp_path / "models").open("mine")
    assert bundle.manifest.onnx is None
    assert {path.name for path in bundle.folder.iterdir()} == {
        "README.md",
        "manifest.json",
        "model.keras",
        "vocabulary.txt",
    }


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


def write_torch(folder: Path, words: int) -> tuple[Path, Path, Path]:
    """Write a state dict in a checkpoint, its list with reserved words, and examples of its own code."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    names = ["<pad>", "<unk>", *(f"w{number}" for number in range(words - 2))]
    network = torch.nn.ModuleDict(
        {"words": torch.nn.Embedding(words, 4), "reader": torch.nn.LSTM(4, 3), "head": torch.nn.Linear(3, 2)}
    )
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    texts = ["w0 w1 w101", "W5 w5 other", "w7"]
    lines = []
    for text in texts:
        ids = [names.index(word) if word in names else 1 for word in text.split()]
        ids += [0] * (6 - len(ids))
        with torch.inference_mode():
            _, (hidden, _) = network["reader"](network["words"](torch.tensor(ids)))
            probabilities = network["head"](hidden[-1]).softmax(-1).tolist()
        lines.append(json.dumps({"text": text, "ids": ids, "probabilities": probabilities}))
    paths = folder / "weights.pt", folder / "list.txt", folder / "examples.jsonl"
    torch.save({"epoch": 1, "model_state_dict": network.state_dict()}, paths[0])
    paths[1].write_text("\n".join(names))
    paths[2].write_text("\n".join(lines))
    return paths


def test_a_state_dict_of_pytorch_is_published_with_the_ids_of_its_list(tmp_path: Path) -> None:
    weights, words, examples = write_torch(tmp_path, 104)
    models = tmp_path / "models"
    coding = ("--vocabulary", words, "--tokeniser", "whitespace", "--labels", "no,yes", "--name", "mine")
    options = (*coding, "--length", "6", "--models", models, "--examples", examples)
    check_error(
        run("import", weights, *options), "ends with the layer 'linear' .Dense., without an activation, .* --logi"
    )
    result = run("import", weights, *options, "--logits")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    bundle = Store(models).open("mine")
    coding_of = bundle.manifest.preprocessing
    assert isinstance(coding_of, WordCoding)
    assert (coding_of.padding_id, coding_of.unknown_id, coding_of.word_ids) == (0, 1, range(2, 104))
    assert bundle.manifest.onnx is not None
    origin = bundle.manifest.recipe["imported"]
    assert isinstance(origin, dict)
    assert (origin["written_by"], origin["compared_examples"]) == ("PyTorch", 3)
    assert "written by\nPyTorch)" in (bundle.folder / "README.md").read_text(encoding="utf-8")


def test_a_state_dict_with_another_coding_is_not_published(tmp_path: Path) -> None:
    weights, words, examples = write_torch(tmp_path, 104)
    coding = ("--vocabulary", words, "--tokeniser", "whitespace", "--labels", "no,yes", "--name", "mine", "--logits")
    options = (*coding, "--models", tmp_path / "models", "--examples", examples)
    check_error(run("import", weights, *options), "the network reads rows of any length; pass --length")
    result = run("import", weights, *options, "--length", "6", "--padding", "left")
    assert result.exit_code == 1
    assert "  with --padding right the first 3 examples agree\n" in result.stderr
    assert "The examples differ. Other codings are tried, for at most 20 s." in result.stdout
    assert leftovers(tmp_path / "models") == []


def test_a_search_for_another_coding_is_quiet(folder: Path, tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text(
        "".join(json.dumps({"text": text, "probability": 0.123}) + "\n" for text in ("good", "bad film"))
    )
    models = tmp_path / "models"
    command = [str(each) for each in import_model(folder, models, "--examples", examples, "--quiet")]
    program = [sys.executable, "-m", "training", *command]
    found = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("error: the bundle answers otherwise than your code for the example on line 1")
    assert "retracing" not in found.stderr and "WARNING" not in found.stderr
