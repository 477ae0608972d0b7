import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from typer.testing import Result

from app.settings import Settings
from bundle.store import Bundle, Store
from tests.conftest import leftovers, serve
from tests.rights import modes_hold
from tests.training.commands.command import QUICK, QUICK_OPTIONS, ROOT, check_error, check_usage, one_line, run
from tests.training.films import SMALL, TWO


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
        (["imdb-20", "--stages", "corpus"], "imdb-20 is not trained in stages; leave --stages out"),
        (["sentiment", "--stages", "corpus", "--name", "mine"], "nothing is published; leave --name and --from out"),
        (
            ["sentiment", "--stages", "corpus,pupil"],
            "pupil is not a stage; the stages are: corpus, ngrams, language, teachers, labels, second_round, student",
        ),
        (
            ["sentiment-night", "--stages", "labels,second_round"],
            "sentiment-night has no second round; leave second_round out of --stages",
        ),
        (
            ["next-letter", "--alphabet", "0123"],
            "--alphabet belongs to the recipe letters, and next-letter does not read it; leave it out",
        ),
        (["imdb-500", "--text-column", "x"], "--text-column belongs to the recipe reviews, and imdb-500 does not read"),
        (["reviews", "--fold-case"], "--fold-case belongs to the recipe letters, and reviews does not read it"),
        (["imdb-20", "--skip-bad-rows"], "--skip-bad-rows belongs to the recipes letters and reviews, and imdb-20"),
        (["sentiment", "--test", "x"], "--test belongs to the recipes letters and reviews, and sentiment"),
        (["reviews", "--phrases", "x"], "--phrases belongs to the recipe sentiment-general, and reviews"),
        (["reviews", "--data", "x", "--encoding", "none"], "there is no encoding 'none'"),
        (["reviews", "--data", "x", "--label-map", "1,2"], "'1,2' maps no labels"),
        (["reviews", "--data", "x", "--test-share", "0"], "test_share is 0 if the test texts are in a file"),
        (["reviews", "--data", "x", "--test-share", "2"], "test_share: Input should be less than 1, not 2.0"),
        (
            ["reviews", "--data", "x", "--test", "y", "--test-share", "0.5"],
            "test_share is 0 if the test texts are in a",
        ),
    ],
)
def test_train_refuses_what_makes_no_sense(tmp_path: Path, arguments: list[str], message: str) -> None:
    check_usage(run("train", *arguments, "--models", tmp_path / "models"), message)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sentiment", "--data", "nothing"], "there is no nothing; --data takes aclImdb_v1.tar.gz or the folder"),
        (["letters"], "letters learns from your own sequences; name a file with one a line: --data FILE"),
        (["letters", "--data", "nothing"], "nothing cannot be read .No such file or directory."),
        (
            ["letters", "--data", __file__, "--alphabet", "0123", "--fold-case"],
            "test_train.py, line 1: 'i' .* at position 0 .* is not in the alphabet '0123'; .*--skip-bad-rows",
        ),
    ],
)
def test_train_refuses_data_that_cannot_be_used_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    check_error(run("train", *arguments, "--models", tmp_path / "models", "--runs", tmp_path / "runs"), message)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["Letters", "../letters", "a/b", "-x", "a" * 64, "two words"])
def test_train_refuses_a_bad_name_before_it_reads_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def load(source: Path | None) -> NoReturn:
        raise AssertionError(f"{source} was read")

    monkeypatch.setattr("training.data.imdb.load", load)
    result = run("train", "sentiment", f"--name={name}", "--models", tmp_path / "models")
    check_usage(result, f"{re.escape(repr(name))} cannot name a bundle; use up to 63 of a-z")
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
        ([], "none", "none does not exist; name the folder of a bundle, as in models/NAME/VERSION"),
        ([], "next-letter", "next-letter has the versions 1; name one, as in .*next-letter/1"),
        ([], "next-letter/1/model.keras", "model.keras is a file; name the folder of a bundle"),
        (
            ["units=3"],
            "next-letter/1",
            "next-letter/1 have the shapes .*; set the recipe's fields to the values in the bundle's",
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
    assert [*tmp_path.iterdir()] == []


def test_train_says_that_a_training_diverged(tmp_path: Path) -> None:
    changes = [part for change in ("epochs=3", "batch_size=26", "learning_rate=1e38") for part in ("--set", change)]
    result = run("train", "next-letter", *QUICK_OPTIONS, *changes, "--models", tmp_path)
    check_error(result, "the training diverged; try a lower learning_rate")
    assert [*tmp_path.iterdir()] == []


def test_train_runs_stages_without_publishing(tmp_path: Path, reviews: Path) -> None:
    models, runs = tmp_path / "models", tmp_path / "runs"
    result = run("train", "sentiment", "--stages", "corpus", "--data", reviews, "--models", models, "--runs", runs)
    assert result.exit_code == 0
    assert re.search(r"^stage 1 of 7, corpus: in .*/corpus-\w+$", result.stdout, re.MULTILINE)
    assert re.search(r"corpus: done, seconds [\d.]+, reviews 36, words \d+\n", result.stdout)
    assert result.stdout.endswith(f"Finished corpus in {runs}; nothing was published\n")
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


def test_a_command_of_the_shell_ends_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "train", "next-letter", "--set", "unit=3", "--models", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert re.fullmatch(r"error: next-letter has no field 'unit'; .*\n", result.stderr)
    assert result.stdout == ""


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # no file can grow longer
runpy.run_module("training", run_name="__main__")
"""
    command = [sys.executable, "-c", script, "train", "next-letter", *QUICK_OPTIONS, "--models", str(tmp_path)]
    # Without the cache of compiled networks, which the tests share: it writes files too.
    environment = {name: value for name, value in os.environ.items() if name != "TF_XLA_FLAGS"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert re.fullmatch(r"error: .*File too large.*; nothing was published\n", result.stderr)
    assert [*tmp_path.iterdir()] == []


def test_a_command_of_the_shell_writes_lines_and_nothing_of_tensorflow(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "train", "next-letter", *QUICK_OPTIONS, "--models", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\r" not in result.stdout and "\x1b" not in result.stdout and "\b" not in result.stdout
    lines = result.stdout.splitlines()
    assert lines[0].startswith("No run of next-letter with these settings is recorded, so the time left is shown once ")
    assert [line for line in lines if re.match("epoch 1 of 1: accuracy 0", line)]
    assert lines[-1] == f"Published {tmp_path / 'next-letter' / '1'}"


@pytest.mark.parametrize("options", [[], ["--name", "my-letters"]])
def test_what_train_prints_serves_and_asks_the_bundle(tmp_path: Path, options: list[str]) -> None:
    result = run("train", "next-letter", *QUICK_OPTIONS, *options, "--models", tmp_path / "my models")
    serving, asking = (line.strip() for line in result.stdout.splitlines() if line.startswith("  "))
    assert shlex.split(serving) == ["python", "-m", "app", "--models", str(tmp_path / "my models")]
    with serve(Settings(models=tmp_path / "my models")) as client:
        command = asking.replace("localhost:8000", f"localhost:{client.base_url.port}")
        answer = json.loads(subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout)
    assert answer["model"] == (options[1] if options else "next-letter")


def test_train_is_quiet_if_asked(tmp_path: Path) -> None:
    result = run("train", "next-letter", *QUICK_OPTIONS, "--quiet", "--models", tmp_path)
    assert result.output == f"Published {tmp_path / 'next-letter' / '1'}\n"


def test_train_says_before_it_begins_how_long_it_takes(tmp_path: Path) -> None:
    data = ("--data", "nothing", "--models", tmp_path / "models", "--runs", tmp_path / "runs")
    assert run("train", "imdb-500", *data).stdout == (
        "Training imdb-500 takes about 3 min, as recorded on 2 processor cores. Ctrl-C stops the training, and nothing "
        "is published then.\n"
    )
    assert run("train", "sentiment-night", *data).stdout == (
        "sentiment-night is trained in 6 stages: corpus, ngrams, language, teachers, labels, student. Each stage says "
        f"how long it takes once it begins, and saves its result in {tmp_path / 'runs'}. Ctrl-C stops the training; "
        "the same command continues it.\n"
    )


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "Not a directory: '.*file/next-letter.*'; nothing was published; name a folder"),
        ("closed", "Permission denied: '.*closed/next-letter.*'; nothing was published; make it readable and writable"),
    ],
)
def test_train_says_why_nothing_can_be_published(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "closed").mkdir(mode=0o500)
    with modes_hold():
        check_error(run("train", "next-letter", *QUICK_OPTIONS, "--models", tmp_path / place), message)
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "closed"}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_control_c_and_sigterm_stop_a_training_and_leave_nothing(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
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
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert errors.endswith("stopped; nothing was published\n")
    assert "Traceback" not in errors
    assert Store(tmp_path).names() == []
    assert leftovers(tmp_path) == []


REVIEWS = [part for assignment in SMALL for part in ("--set", assignment)]


def test_english_texts_begin_with_the_latest_sentiment(two: Path, small_store: Store, tmp_path: Path) -> None:
    shutil.copytree(small_store.root / "sentiment", tmp_path / "sentiment")
    result = run("train", "reviews", "--data", two, "--name", "mine", "--models", tmp_path, *REVIEWS)
    assert result.exit_code == 0, result.stderr
    shown = one_line(result.stdout)
    assert "The training begins with the network in" in shown and "Baseline, TF-IDF with logistic" in shown
    assert "Training on 64 rows of about 5 words takes at most about" in shown
    assert re.search(r"│ accuracy +│ [\d.]+ +│ [\d.]+ +│", shown) and "┃ TF-IDF ┃" in shown
    *_, verdict, published = result.stdout.splitlines()
    assert "baseline" in verdict and published.startswith("Published ")
    assert "100%" not in result.stdout and "Coding the test texts\n" in result.stdout
    request = json.loads(re.findall(r"-d '(.*)'\n", result.stdout)[0])
    assert request["text"] in {text for text, _ in TWO}
    assert "│ negative │ 32 │ 8 │" in shown
    recorded = Store(tmp_path).open("mine").manifest.recipe
    assert isinstance(start := recorded["start"], dict) and start["name"] == "sentiment"
    assert isinstance(baseline := recorded["baseline"], dict) and {*baseline} == {"accuracy", "macro_f1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "There is no sentiment in"),
        (["--language", "German"], "The language is German, so the training begins with random weights."),
        (["--from", "none", "--text-column", "text", "--label-column", "label", "--test-share", "0.5"], "│ 20 │ 20 │"),
    ],
)
def test_other_texts_begin_with_random_weights(two: Path, tmp_path: Path, options: list[str], message: str) -> None:
    brief = ["--set", "scratch.epochs=1"]
    result = run("train", "reviews", "--data", two, "--name", "mine", "--models", tmp_path, *REVIEWS, *brief, *options)
    assert result.exit_code == 0, result.stderr
    assert message in one_line(result.stdout)
    assert "start" not in Store(tmp_path).open("mine").manifest.recipe


def test_a_sentiment_that_cannot_be_opened_is_named(two: Path, tmp_path: Path) -> None:
    (tmp_path / "sentiment" / "1").mkdir(parents=True)
    (tmp_path / "sentiment" / "1" / "manifest.json").write_text("{}")
    result = run("train", "reviews", "--data", two, "--models", tmp_path)
    check_error(result, "manifest.*; --from names another bundle to begin with, or none")


def test_the_users_data_are_checked_before_a_training(tmp_path: Path) -> None:
    check_error(run("train", "reviews", "--models", tmp_path), "name their file or folder: --data FILE")
    bad = tmp_path / "bad.csv"
    bad.write_text("text,label\na,b,c\n" + "good,1\nbad,0\n" * 20)
    check_error(run("train", "reviews", "--data", bad, "--models", tmp_path), "line 2 has 3 fields")


def test_the_recipes_of_the_reviews_take_the_users_texts(two: Path, tmp_path: Path) -> None:
    small = ("units=2", "embedding=2", "length=8", "epochs=1", "batch_size=16", "steps_per_call=1")
    options = [part for assignment in small for part in ("--set", assignment)]
    result = run("train", "imdb-20", "--data", two, "--name", "mine", "--models", tmp_path, *options)
    assert result.exit_code == 0, result.stderr
    assert "columns text: text, label: label" in one_line(result.stdout)
    manifest = Store(tmp_path).open("mine").manifest
    assert manifest.labels == ("negative", "positive") and manifest.dataset.name == "films.csv"
    assert (manifest.dataset.test_examples, manifest.dataset.files[0].name) == (16, "films.csv")
    card = (tmp_path / "mine" / "1" / "README.md").read_text()
    assert "--data FILE" in card and "for texts like those of films.csv" in card and "film review" not in card
    again = run("evaluate", tmp_path / "mine" / "1", "--data", two)
    assert again.exit_code == 0 and "The figures are those of the manifest." in again.stdout


def test_a_recipe_in_stages_refuses_the_users_texts(two: Path, tmp_path: Path) -> None:
    result = run("train", "sentiment", "--data", two, "--models", tmp_path / "m", "--runs", tmp_path / "r")
    check_error(result, "films.csv cannot be read as a tar.gz archive .*for your own texts, .* use the recipe reviews")
