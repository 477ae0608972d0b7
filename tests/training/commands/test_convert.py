import sys
from pathlib import Path

import pytest

from bundle.store import Store
from tests.conftest import leftovers
from tests.training.commands.command import check_error, check_usage, run


def write_torch_weights(path: Path, reads_words: bool = False) -> None:
    """Write the state dict of a PyTorch network of two units, for letters or for four words."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    modules = {"encoder": torch.nn.LSTM(1, 2), "head": torch.nn.Linear(2, 26)}
    if reads_words:
        modules = {"words": torch.nn.Embedding(8, 1), "encoder": torch.nn.LSTM(1, 2), "head": torch.nn.Linear(2, 2)}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), path)


def test_convert_publishes_a_pytorch_network_for_letters(tmp_path: Path) -> None:
    path, models = tmp_path / "weights.pt", tmp_path / "models"
    write_torch_weights(path)
    options = ["--set", "units=2", "--name", "mine"]
    result = run("convert", "from-torch", path, "alphabet-time-steps", *options, "--models", models)
    assert result.exit_code == 0
    bundle = Store(models).open("mine")
    assert f"Published {bundle.folder}\n" in result.stdout
    for value in bundle.manifest.metrics.values():
        assert f"{value:.4f}" in result.stdout
    assert bundle.manifest.recipe["name"] == "alphabet-time-steps"
    assert run("evaluate", bundle.folder).exit_code == 0


def test_convert_publishes_a_pytorch_network_for_reviews(tmp_path: Path, reviews: Path) -> None:
    path, words, models = tmp_path / "weights.pt", tmp_path / "words.txt", tmp_path / "models"
    write_torch_weights(path, reads_words=True)
    words.write_text("film\nwonderful\nawful\ncall\n")
    changes = ["units=2", "embedding=1", "vocabulary_size=8", "length=9"]
    options = [part for change in changes for part in ("--set", change)]
    places = ["--vocabulary", str(words), "--data", str(reviews), "--models", str(models)]
    result = run("convert", "from-torch", path, "imdb-500", *options, *places)
    assert result.exit_code == 0
    bundle = Store(models).open("imdb-500")
    assert f"Published {bundle.folder}\n" in result.stdout
    assert (bundle.folder / "vocabulary.txt").read_bytes() == words.read_bytes()
    assert run("evaluate", bundle.folder, "--data", reviews).exit_code == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (".", ["alphabet-time-steps"], "Is a directory: '.*'; nothing was published; name a file"),
        ("none.pt", ["alphabet-time-steps"], "No such file or directory: '.*none.pt'; nothing was published"),
        ("weights.pt", ["alphabet-time-steps"], "would get weights of the shapes .* set the recipe's units"),
        ("weights.pt", ["next-letter"], "the recipe is not a network of nn.LSTM and a linear layer; set features=0"),
        (
            "weights.pt",
            ["stacked", "--set", "mask_padding=false"],
            "has 0 embeddings, 1 LSTM layers .*set the recipe's",
        ),
        ("weights.pt", ["imdb-500", "--data", "none"], "has 0 embeddings, .* the recipe's 1 embeddings"),
        (
            "weights.pt",
            ["imdb-500", "--vocabulary", "none"],
            "No such file or directory: 'none'; nothing was published",
        ),
        (
            "text.pt",
            ["torch"],
            r"text.pt holds no state dict .*; write it by torch.save\(network.state_dict\(\), path\)",
        ),
    ],
)
def test_convert_refuses_what_it_cannot_publish(tmp_path: Path, name: str, arguments: list[str], message: str) -> None:
    write_torch_weights(tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("weights")
    models = tmp_path / "models"
    check_error(run("convert", "from-torch", tmp_path / name, *arguments, "--models", models), message)
    assert leftovers(models) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stackd"], "there is no recipe 'stackd'; did you mean 'stacked'"),
        (["torch", "--set", "unit=2"], "torch has no field 'unit'; did you mean 'units'"),
        (["torch", "--name", "My Name"], "'My Name' cannot name a bundle"),
    ],
)
def test_convert_refuses_what_makes_no_sense(tmp_path: Path, arguments: list[str], message: str) -> None:
    check_usage(run("convert", "from-torch", tmp_path / "none.pt", *arguments, "--models", tmp_path), message)
    assert [*tmp_path.iterdir()] == []


def test_convert_writes_a_bundle_for_pytorch(small_store: Store, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pt"
    result = run("convert", "to-torch", small_store.open("imdb-500").folder, path)
    assert result.exit_code == 0
    assert result.stdout == f"Wrote {path}\n"
    shapes = {name: tuple(weight.shape) for name, weight in torch.load(path, weights_only=True).items()}
    assert shapes == {
        "embedding.weight": (10_000, 4),
        "lstms.0.weight_ih_l0": (16, 4),
        "lstms.0.weight_hh_l0": (16, 4),
        "lstms.0.bias_ih_l0": (16,),
        "lstms.0.bias_hh_l0": (16,),
        "linear.weight": (1, 4),
        "linear.bias": (1,),
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "none does not exist; name the folder of a bundle"),
        (
            "sentiment/1",
            "sentiment/1 has more than nn.LSTM and a linear layer; these would have mask_padding=false",
        ),
    ],
)
def test_convert_refuses_what_pytorch_does_not_have(
    small_store: Store, tmp_path: Path, name: str, message: str
) -> None:
    pytest.importorskip("torch")
    check_error(run("convert", "to-torch", small_store.root / name, tmp_path / "weights.pt"), message)
    assert list(tmp_path.iterdir()) == []


def test_convert_says_that_a_file_cannot_be_written(small_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "none" / "weights.pt"
    check_error(run("convert", "to-torch", small_store.open("imdb-500").folder, path), "; nothing was written")


@pytest.mark.parametrize("command", [["from-torch", "weights.pt", "torch"], ["to-torch"]])
def test_convert_without_pytorch_says_how_to_get_it(
    small_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    bundle = str(small_store.open("imdb-500").folder)
    more = [bundle, "other.pt"] if command == ["to-torch"] else ["--models", "models"]
    check_error(run("convert", *command, *more), "torch is not installed, which this needs; run `make torch`")
    assert leftovers(tmp_path) == [tmp_path / "weights.pt"]
