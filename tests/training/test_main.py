import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from typer.testing import CliRunner, Result

import training
from bundle.manifest import Description, Manifest
from bundle.store import Bundle, Store, open_bundle
from tests.conftest import write_reviews
from training.__main__ import application
from training.recipes import RECIPES

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


def leftovers(folder: Path) -> list[Path]:
    """Return the files and the staged folders under a folder of bundles."""
    return [path for path in folder.rglob("*") if path.is_file() or path.name.startswith(".staged")]


def test_list_shows_every_recipe_with_the_published_and_the_own_accuracy(small_store: Store) -> None:
    result = run("list", "--models", small_store.root)
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if set(line.split()[:1]) & set(RECIPES)}
    assert list(lines) == list(RECIPES)
    for name, recipe in RECIPES.items():
        assert f"{small_store.open(name).manifest.metrics['accuracy']:.2%}" in lines[name]
        if recipe.published:
            assert f"{recipe.published['accuracy']:.2%}" in lines[name]


def test_list_works_without_any_bundle(tmp_path: Path) -> None:
    result = run("list", "--models", tmp_path / "none")
    assert result.exit_code == 0
    assert "98.90%" in result.stdout
    assert "86.74%" in result.stdout
    assert not (tmp_path / "none").exists()


def test_list_names_a_damaged_bundle(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "next-letter" / "1")
    (folder / "model.keras").write_bytes(b"")
    check_error(run("list", "--models", tmp_path), "next-letter/1/model.keras has SHA-256")


def test_without_a_command_the_commands_are_shown() -> None:
    output = run().output
    assert all(command in output for command in ("list", "train", "evaluate"))


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
        (["sentiment", "--set", "mask_padding=false", "--data", "nothing"], "needs mask_padding=true"),
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


def test_train_says_that_a_training_diverged(tmp_path: Path) -> None:
    changes = [part for change in ("epochs=3", "batch_size=26", "learning_rate=1e38") for part in ("--set", change)]
    result = run("train", "next-letter", *QUICK_OPTIONS, *changes, "--models", tmp_path)
    check_error(result, "the training diverged; try a lower learning_rate")
    assert leftovers(tmp_path) == []


def test_train_refuses_soft_labels_without_unlabelled_reviews(tmp_path: Path, reviews: Path) -> None:
    data = shutil.copytree(reviews, tmp_path / "data", ignore=shutil.ignore_patterns("unsup"))
    result = run("train", "sentiment", "--data", data, "--models", tmp_path / "models")
    check_error(result, "has no train/unsup/.*--set unlabelled=ignored")
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
        result = run("train", "sentiment", "--data", data, "--models", tmp_path / "models")
        thread.join(timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert result.stderr == "stopped; nothing was published\n"
    assert leftovers(tmp_path / "models") == []


@pytest.mark.parametrize("name", RECIPES)
def test_evaluate_finds_the_figures_of_the_manifest(small_store: Store, reviews: Path, name: str) -> None:
    bundle = small_store.open(name)
    result = run("evaluate", bundle.folder, "--data", reviews)
    assert result.exit_code == 0
    assert f"{bundle.manifest.dataset.test_examples} examples" in result.stdout
    for metric, value in bundle.manifest.metrics.items():
        assert re.search(rf"{metric} +. {value:.4f} +. {value:.4f}", result.stdout)
    assert "The figures are those of the manifest." in one_line(result.stdout)


def test_evaluate_fails_where_the_manifest_says_other_figures(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics=metrics | {"accuracy": metrics["accuracy"] + 0.01})
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert "The same data give other figures than the manifest records." in one_line(result.stdout)
    assert "The figures are those" not in one_line(result.stdout)


@pytest.mark.parametrize("change", ["missing", "more"])
def test_evaluate_fails_where_the_manifest_says_more_or_fewer_figures(
    small_store: Store, tmp_path: Path, change: str
) -> None:
    folder = copy(small_store.open("alphabet-variable-length"), tmp_path / "copy")
    metrics = Manifest.read(folder).metrics
    reseal(folder, metrics={"missing": {"loss": metrics["loss"]}, "more": metrics | {"f1": 0.5}}[change])
    result = run("evaluate", folder)
    assert result.exit_code == 1
    assert "The same data give other figures" in one_line(result.stdout)
    if change == "missing":
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
    options = [*QUICK_OPTIONS, "--set", "epochs=100000", "--models", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script, "train", "next-letter", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("Epoch 3/100000" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.endswith("stopped; nothing was published\n")
    assert "Traceback" not in errors
    assert Store(tmp_path).names() == []
    assert leftovers(tmp_path) == []
