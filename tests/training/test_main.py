import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from typer.testing import CliRunner, Result

import training
from bundle.manifest import Description, Manifest
from bundle.store import Bundle, Store, open_bundle
from tests.conftest import SMALL_RECIPES, leftovers, write_reviews
from training import pipeline, recipes, results
from training.__main__ import application
from training.recipes import RECIPES, Recipe
from training.results import HELD_OUT, Results, Run

ROOT = Path(training.__file__).parents[1]
QUICK = ["units=2", "features=0", "length=2", "epochs=1", "batch_size=64", "steps_per_call=1", "short_run_copies=1"]
QUICK_OPTIONS = [part for assignment in QUICK for part in ("--set", assignment)]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def one_line(text: str) -> str:
    """Return text as it was before it was folded to the width of the terminal, as far as words go."""
    return " ".join(text.split())


def check_error(result: Result, message: str) -> None:
    """Check that a command failed with one line that says so, and nothing else on standard error."""
    assert result.exit_code == 1
    assert re.fullmatch(f"error: .*{message}.*\n", result.stderr)
    assert "Traceback" not in result.output


def copy(bundle: Bundle, to: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, to))


def reseal(folder: Path, **changes: object) -> None:
    """Write a valid manifest that says something else of the same files."""
    manifest = Manifest.read(folder)
    fields = manifest.model_dump(include=set(Description.model_fields)) | changes
    Manifest.seal(Description.model_validate(fields), manifest.version, dict(manifest.files)).write(folder)


def test_list_shows_every_recipe_with_the_published_and_the_own_accuracy(small_store: Store) -> None:
    result = run("list", "--models", small_store.root, "--results", small_store.root / "none.jsonl")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if set(line.split()[:1]) & set(RECIPES)}
    assert list(lines) == list(RECIPES)
    for name, recipe in RECIPES.items():
        if name in SMALL_RECIPES:
            assert f"{small_store.open(name).manifest.metrics['accuracy']:.2%}" in lines[name]
        for published in list(recipe.published.values())[:1]:
            assert f"{published:.2%}" in lines[name]


def test_list_works_without_any_bundle(tmp_path: Path) -> None:
    result = run("list", "--models", tmp_path / "none")
    assert result.exit_code == 0
    assert "98.90%" in result.stdout
    assert "86.74%" in result.stdout
    assert not (tmp_path / "none").exists()


def record(recipe: Recipe, **metrics: float) -> Run:
    """Return the record of a run that gave these figures."""
    return Run.record(
        recipe, {"accuracy": 0.5, "loss": 1.0} | metrics, {"loss": [1.0], "accuracy": [0.5]}, "abc", 100, 1.0, {}
    )


def test_list_shows_the_recorded_figures_rather_than_those_of_a_bundle(small_store: Store, tmp_path: Path) -> None:
    recorded = Results(tmp_path / "results.jsonl")
    for seed, accuracy in ((7, 0.25), (8, 0.2512)):
        for name in ("alphabet-time-steps", "alphabet-window"):
            recorded.add(record(recipes.find(name).with_settings([f"seed={seed}"]), accuracy=accuracy))
    recorded.add(record(recipes.find("imdb-20"), validation_accuracy=0.7654))
    recorded.add(record(recipes.find("torch").with_settings(["units=3"]), accuracy=0.8765))
    listed = run("list", "--models", small_store.root, "--results", recorded.path).stdout.splitlines()
    lines = {name: [line for line in listed if line.split()[:1] == [name]] for name in RECIPES}
    assert "25.06%" in lines["alphabet-time-steps"][0]
    assert "76.54%" in lines["imdb-20"][0]
    assert "25.06%" in lines["alphabet-window"][0]
    assert f"{small_store.open('stacked').manifest.metrics['accuracy']:.2%}" in lines["stacked"][0]
    assert "87.65%" not in lines["torch"][0]  # of other settings


def test_list_refuses_a_results_file_that_is_broken(small_store: Store, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    result = run("list", "--models", small_store.root, "--results", tmp_path / "results.jsonl")
    check_error(result, "line 1 of .*results.jsonl is no run .*; remove it")


def test_list_names_a_damaged_bundle(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "next-letter" / "1")
    (folder / "model.keras").write_bytes(b"")
    check_error(run("list", "--models", tmp_path), "next-letter/1/model.keras has SHA-256")


def test_without_a_command_the_commands_are_shown() -> None:
    output = run().output
    assert all(command in output for command in ("list", "train", "evaluate", "convert", "report"))
    output = run("convert").output
    assert all(command in output for command in ("from-torch", "to-torch"))


class Trained(NamedTuple):
    result: Result
    bundle: Bundle


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training with a seed of its own, into a folder whose name is long and looks like markup."""
    models = tmp_path_factory.mktemp("models") / ("[red]" + "x" * 100)
    result = run("train", "next-letter", *QUICK_OPTIONS, "--seed", "3", "--models", models)
    return Trained(result, Store(models).open("next-letter"))


def test_train_publishes_a_bundle_with_the_chosen_settings(trained: Trained) -> None:
    assert trained.result.exit_code == 0
    assert trained.bundle.manifest.version == 1
    settings = trained.bundle.manifest.recipe["settings"]
    assert isinstance(settings, dict)
    assert [f"{assignment.split('=')[0]}={settings[assignment.split('=')[0]]}" for assignment in QUICK] == QUICK
    assert settings["seed"] == 3


def test_train_prints_the_figures_and_the_folder_as_it_is(trained: Trained) -> None:
    for value in trained.bundle.manifest.metrics.values():
        assert f"{value:.4f}" in trained.result.stdout
    assert f"Published {trained.bundle.folder}\n" in trained.result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["next-leter"], "there is no recipe 'next-leter'; did you mean 'next-letter'.*imdb-500"),
        (["next-letter", "--set", "unit=3"], "no field 'unit'; did you mean 'units'.*features"),
        (["next-letter", "--set", "units"], "'units' is not an assignment; write key=value"),
        (["next-letter", "--set", "units=0"], "units: Input should be greater than or equal to 1, not 0"),
        (["next-letter", "--seed", "-1"], "seed: Input should be greater than or equal to 0, not -1"),
        (["sentiment", "--set", "nodes=3", "--data", "nothing"], "no field 'nodes'"),
        (["imdb-20", "--set", "pooling=mean-max", "--data", "nothing"], "needs mask_padding=true"),
        (["imdb-20", "--stages", "corpus"], "imdb-20 is trained in one go; leave --stages out"),
        (["sentiment", "--stages", "corpus", "--name", "mine"], "nothing is published; leave --name and --from out"),
        (
            ["sentiment", "--stages", "corpus,pupil"],
            "pupil is no stage; there are: corpus, language, teacher, labels, stud",
        ),
        (["sentiment", "--data", "nothing"], "there is no nothing; --data takes aclImdb_v1.tar.gz or the folder"),
    ],
)
def test_train_refuses_what_makes_no_sense(tmp_path: Path, arguments: list[str], message: str) -> None:
    check_error(run("train", *arguments, "--models", tmp_path / "models"), message)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["Letters", "../letters", "a/b", "-x", "a" * 64, "two words"])
def test_train_refuses_a_bad_name_before_it_reads_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def load(source: Path | None) -> NoReturn:
        raise AssertionError(f"{source} was read")

    monkeypatch.setattr("training.imdb.load", load)
    result = run("train", "sentiment", f"--name={name}", "--models", tmp_path / "models")
    check_error(result, f"{re.escape(repr(name))} cannot name a bundle; use up to 63 of a-z")
    assert list(tmp_path.iterdir()) == []


def test_train_publishes_under_another_name(tmp_path: Path) -> None:
    result = run("train", "next-letter", *QUICK_OPTIONS, "--name", "my-letters", "--models", tmp_path)
    assert result.exit_code == 0
    store = Store(tmp_path)
    assert store.names() == ["my-letters"]
    manifest = store.open("my-letters").manifest
    assert (manifest.name, manifest.recipe["name"]) == ("my-letters", "next-letter")
    assert f"Published {tmp_path / 'my-letters' / '1'}\n" in result.stdout
    assert run("evaluate", tmp_path / "my-letters" / "1").exit_code == 0


def test_train_starts_from_a_bundle(trained: Trained, tmp_path: Path) -> None:
    start = trained.bundle
    result = run("train", "next-letter", *QUICK_OPTIONS, "--from", start.folder, "--models", tmp_path)
    assert result.exit_code == 0
    begun = {"name": "next-letter", "version": 1, "checksum": start.manifest.checksum}
    assert Store(tmp_path).open("next-letter").manifest.recipe["start"] == begun


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ([], "none", "none/manifest.json cannot be read"),
        (
            ["units=3"],
            "next-letter/1",
            "next-letter/1 have the shapes .*; set the recipe's fields as the bundle's card",
        ),
    ],
)
def test_train_refuses_to_start_from_what_does_not_fit(
    trained: Trained, tmp_path: Path, changes: list[str], name: str, message: str
) -> None:
    options = [part for change in changes for part in ("--set", change)]
    start = trained.bundle.folder.parents[1] / name
    result = run("train", "next-letter", *QUICK_OPTIONS, *options, "--from", start, "--models", tmp_path)
    check_error(result, message)
    assert leftovers(tmp_path) == []


def test_train_says_that_a_training_diverged(tmp_path: Path) -> None:
    changes = [part for change in ("epochs=3", "batch_size=26", "learning_rate=1e38") for part in ("--set", change)]
    result = run("train", "next-letter", *QUICK_OPTIONS, *changes, "--models", tmp_path)
    check_error(result, "the training diverged; try a lower learning_rate")
    assert leftovers(tmp_path) == []


def test_train_runs_stages_without_publishing(tmp_path: Path, reviews: Path) -> None:
    models, runs = tmp_path / "models", tmp_path / "runs"
    result = run("train", "sentiment", "--stages", "corpus", "--data", reviews, "--models", models, "--runs", runs)
    assert result.exit_code == 0
    assert re.search(r"corpus: done, seconds [\d.]+, reviews 36, words \d+\n", result.stdout)
    assert [folder.name.rpartition("-")[0] for folder in runs.iterdir()] == ["corpus"]
    assert not models.exists()


def test_train_refuses_stages_without_unlabelled_reviews(tmp_path: Path, reviews: Path) -> None:
    data = shutil.copytree(reviews, tmp_path / "data", ignore=shutil.ignore_patterns("unsup"))
    folders = ("--models", tmp_path / "models", "--runs", tmp_path / "runs")
    check_error(run("train", "sentiment", "--data", data, *folders), "has no train/unsup/")
    assert leftovers(tmp_path / "models") == []


def test_train_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = run("train", "next-letter", *QUICK_OPTIONS, "--models", tmp_path / "file" / "models")
    check_error(result, "Not a directory: .*file.*; nothing was published")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_interruption_is_no_error(tmp_path: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(status: int) -> NoReturn:  # os._exit would end the tests as well
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    data = Path(shutil.copytree(reviews, tmp_path / "data"))
    pipe = data / "train" / "neg" / "999_1.txt"
    os.mkfifo(pipe)

    def interrupt() -> None:
        with pipe.open("wb") as file:
            file.write(bytes(1_000_000))  # far more than a pipe holds, so the training has begun to read
            file.flush()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        folders = ("--models", tmp_path / "models", "--runs", tmp_path / "runs")
        result = run("train", "sentiment", "--data", data, *folders)
        thread.join(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert result.stderr == "stopped; nothing was published\n"
    assert leftovers(tmp_path / "models") == []


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_evaluate_finds_the_figures_of_the_manifest(small_store: Store, reviews: Path, name: str) -> None:
    bundle = small_store.open(name)
    result = run("evaluate", bundle.folder, "--data", reviews)
    assert result.exit_code == 0
    assert f"{bundle.manifest.dataset.test_examples:,} examples" in result.stdout
    for metric, value in bundle.manifest.metrics.items():
        assert bool(re.search(rf"{metric} +. {value:.4f} +. {value:.4f}", result.stdout)) == (metric != HELD_OUT)
    assert "The figures are those of the manifest." in one_line(result.stdout)


def test_evaluate_fails_where_the_manifest_says_other_figures(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics=metrics | {"accuracy": metrics["accuracy"] + 0.01})
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert "The same data give other figures than the manifest records." in one_line(result.stdout)
    assert "The figures are those" not in one_line(result.stdout)


def test_evaluate_fails_where_the_manifest_has_a_figure_that_is_not_measured(
    small_store: Store, tmp_path: Path
) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    reseal(folder, metrics=Manifest.read(folder).metrics | {"f1": 0.5})
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert "The same data give other figures" in one_line(result.stdout)


def test_evaluate_takes_a_manifest_of_a_time_when_less_was_measured(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    reseal(folder, metrics={"loss": Manifest.read(folder).metrics["loss"]})
    result = run("evaluate", folder)
    assert result.exit_code == 0
    assert re.search(r"accuracy +. [0-9.]+ +. - ", result.stdout)


def test_evaluate_takes_figures_that_agree_in_four_digits(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics=metrics | {"loss": float(f"{metrics['loss']:.4f}")})
    result = run("evaluate", folder)
    assert result.exit_code == 0
    assert "The figures are those of the manifest." in one_line(result.stdout)


def test_evaluate_says_so_where_the_data_are_others(small_store: Store, tmp_path: Path) -> None:
    data = write_reviews(tmp_path / "data", per_label=3)
    result = run("evaluate", small_store.open("sentiment").folder, "--data", data)
    assert result.exit_code == 0
    assert "6 examples" in result.stdout
    assert "These are not the data of the manifest" in one_line(result.stdout)
    assert "The figures are those" not in one_line(result.stdout)


def test_evaluate_changes_nothing(small_store: Store, tmp_path: Path, reviews: Path) -> None:
    folder = copy(small_store.open("sentiment"), tmp_path / "copy")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run("evaluate", folder, "--data", reviews).exit_code == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_evaluate_refuses_a_folder_without_a_bundle(tmp_path: Path) -> None:
    check_error(run("evaluate", tmp_path), "manifest.json cannot be read")


def test_evaluate_refuses_an_edited_manifest(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "copy")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"accuracy": 0', '"accuracy": 1'))
    check_error(run("evaluate", folder), "was edited")


def test_evaluate_says_nothing_of_publication_where_a_file_cannot_be_read(
    small_store: Store, tmp_path: Path, reviews: Path
) -> None:
    data = Path(shutil.copytree(reviews, tmp_path / "data"))
    (data / "test" / "pos" / "999_9.txt").mkdir()
    result = run("evaluate", small_store.open("sentiment").folder, "--data", data)
    check_error(result, "Is a directory: .*999_9.txt'")
    assert "published" not in result.stderr


def test_evaluate_refuses_missing_data(small_store: Store, tmp_path: Path) -> None:
    result = run("evaluate", small_store.open("sentiment").folder, "--data", tmp_path / "none")
    check_error(result, "there is no .*none; --data takes")


@pytest.mark.parametrize("recipe", [{}, {"settings": {"nodes": 3}}, {"settings": None}])
def test_evaluate_refuses_a_recipe_that_this_release_does_not_know(
    small_store: Store, tmp_path: Path, recipe: dict[str, object]
) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "copy")
    reseal(folder, recipe=recipe)
    assert open_bundle(folder)
    check_error(run("evaluate", folder), "copy has a recipe of another release .*release that trained it")


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
        ("none.pt", ["alphabet-time-steps"], "No such file or directory: '.*none.pt'; nothing was published"),
        ("weights.pt", ["alphabet-time-steps"], "would get weights of the shapes .* set the recipe's units"),
        ("weights.pt", ["next-letter"], "a linear layer cannot be the recipe's; set features=0"),
        (
            "weights.pt",
            ["stacked", "--set", "mask_padding=false"],
            "has 0 embeddings, 1 LSTM layers .*set the recipe's",
        ),
        ("weights.pt", ["stackd"], "there is no recipe 'stackd'; did you mean 'stacked'"),
        ("weights.pt", ["torch", "--set", "unit=2"], "torch has no field 'unit'; did you mean 'units'"),
        ("weights.pt", ["torch", "--name", "My Name"], "'My Name' cannot name a bundle"),
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
        ("none", "none/manifest.json cannot be read"),
        (
            "sentiment/1",
            "sentiment/1 is more than nn.LSTM and a linear layer, which would have mask_padding=false, pool",
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
    monkeypatch.delitem(sys.modules, "training.torch_network", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    bundle = str(small_store.open("imdb-500").folder)
    more = [bundle, "other.pt"] if command == ["to-torch"] else ["--models", "models"]
    check_error(run("convert", *command, *more), "torch is not installed, which this needs; run `make torch`")
    assert leftovers(tmp_path) == [tmp_path / "weights.pt"]


TINY = ["units=2", "epochs=2", "length=2", "batch_size=8"]


@pytest.fixture
def tiny_recipes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recipe]:
    """Two recipes that take seconds, the second with a fast variant, in the place of all; two seeds of each."""
    tiny = {name: recipes.find(name).with_settings(TINY) for name in ("alphabet-time-steps", "alphabet-window")}
    chosen: dict[str, Recipe] = {
        "alphabet-time-steps": replace(tiny["alphabet-time-steps"], fast={}),
        "alphabet-window": replace(tiny["alphabet-window"], fast={"epochs": 1}),
        "next-letter": recipes.find("next-letter"),  # the project's own
    }
    monkeypatch.setattr("training.results.RECIPES", chosen)
    monkeypatch.setattr("training.report.RECIPES", chosen)
    monkeypatch.setitem(results.SEEDS, "alphabet", 2)
    return chosen


def test_report_trains_what_is_missing_and_writes_the_page(
    tiny_recipes: dict[str, Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, page = tmp_path / "results.jsonl", tmp_path / "docs.md"
    options = ["--results", str(recorded), "--out", str(page)]
    first = run("report", "--fast", *options)
    assert first.exit_code == 0
    assert re.findall(r"^(\d of \d: .*)$", first.stdout, re.MULTILINE) == [
        "1 of 4: alphabet-time-steps, seed 7",
        "2 of 4: alphabet-time-steps, seed 8",
        "3 of 4: alphabet-window, seed 7",
        "4 of 4: alphabet-window, seed 8",
    ]
    runs = Results(recorded).runs
    assert [(one.recipe, one.seed, one.settings["epochs"]) for one in runs] == [
        ("alphabet-time-steps", 7, 2),
        ("alphabet-time-steps", 8, 2),
        ("alphabet-window", 7, 1),
        ("alphabet-window", 8, 1),
    ]
    for one in runs:
        assert f"  accuracy {one.metrics['accuracy']:.4f}, loss {one.metrics['loss']:.4f}, " in first.stdout
        assert one.epochs == list(range(1, len(one.curve["loss"]) + 1))
    assert f"Wrote {page}\n" in first.stdout
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(.*?)` \| (\w+)", text, re.MULTILINE) == [
        ("alphabet-time-steps", "published"),
        ("alphabet-window", "fast"),
    ]
    assert (tmp_path / "docs" / "alphabet.png").read_bytes().startswith(b"\x89PNG")

    def train(recipe: Recipe, *_: object) -> NoReturn:
        raise AssertionError(f"{recipe.name} was trained again")

    monkeypatch.setattr(pipeline, "fit_recipe", train)
    page.unlink()
    again = run("report", "--fast", *options)
    assert (again.exit_code, again.stdout) == (0, f"Wrote {page}\n")
    assert page.read_text(encoding="utf-8") == text
    window = tiny_recipes["alphabet-window"]
    for seed in (7, 8):
        Results(recorded).add(record(window.with_settings([f"seed={seed}"])))
    assert run("report", *options).exit_code == 0  # nothing is missing of what is published either


def test_report_refuses_a_results_file_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("no run\n")
    result = run("report", "--results", tmp_path / "results.jsonl", "--out", tmp_path / "docs.md")
    check_error(result, "line 1 of .*results.jsonl is no run .*; remove it, and `report` runs it again")
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_report_keeps_what_is_recorded_where_the_data_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"imdb-20": replace(recipes.find("imdb-20"), fast={})}
    monkeypatch.setattr("training.results.RECIPES", chosen)
    recorded = Results(tmp_path / "results.jsonl")
    recorded.add(record(chosen["imdb-20"], validation_accuracy=0.75))
    before = recorded.path.read_bytes()
    result = run("report", "--data", tmp_path / "none", "--results", recorded.path, "--out", tmp_path / "docs.md")
    assert result.exit_code == 1
    assert result.stdout.startswith("1 of 2: imdb-20, seed 8\n2 of 2: imdb-20, seed 9\n")
    errors = result.stderr.splitlines()
    assert [re.match("error: there is no .*none; --data takes", line) is not None for line in errors] == [
        True,
        True,
        False,
    ]
    assert errors[-1] == "2 of 2 runs failed; `report` runs them again"
    assert recorded.path.read_bytes() == before
    assert "75.00 %" in (tmp_path / "docs.md").read_text(encoding="utf-8")


def test_report_says_that_the_page_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.results.RECIPES", {})
    (tmp_path / "file").write_text("mine")
    result = run("report", "--results", tmp_path / "none.jsonl", "--out", tmp_path / "file" / "docs.md")
    check_error(result, "Not a directory: .*file.*; what had been recorded is kept")


def test_a_command_of_the_shell_ends_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "train", "next-letter", "--set", "unit=3", "--models", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert re.fullmatch(r"error: next-letter has no field 'unit'; .*\n", result.stderr)
    assert result.stdout == ""


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # no file can grow longer
runpy.run_module("training", run_name="__main__")
"""
    command = [sys.executable, "-c", script, "train", "next-letter", *QUICK_OPTIONS, "--models", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert re.search(r"^error: .*File too large.*; nothing was published$", result.stderr, re.MULTILINE)
    assert "Traceback" not in result.stderr
    assert leftovers(tmp_path) == []


def test_control_c_stops_a_training_and_leaves_nothing(tmp_path: Path) -> None:
    # A shell that runs the tests in the background has its children ignore the signal.
    script = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("training", run_name="__main__")
"""
    options = [*QUICK_OPTIONS, "--set", "epochs=3000", "--models", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script, "train", "next-letter", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("epoch 1 of 3,000" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.endswith("stopped; nothing was published\n")
    assert "Traceback" not in errors
    assert Store(tmp_path).names() == []
    assert leftovers(tmp_path) == []
