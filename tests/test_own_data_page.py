"""Every command of docs/own-data.md is run on files as the page describes them."""

import contextlib
import gzip
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.manifest import Manifest
from bundle.store import Store
from tables.columns import LABEL_NAMES, TEXT_NAMES
from tests.app.service import run_service
from tests.training.commands.command import run

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text("utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PREFIX = ".venv/bin/python -m training "
COMMANDS = [line for line in LINES if line.startswith(f"{PREFIX}check")]
TRAININGS = [line for line in LINES if line.startswith(f"{PREFIX}train")]
QUESTIONS = [line for line in LINES if line.startswith("curl")]

# What makes a training short.
SHORTER = (
    "length=12 units=4 embedding=4 small_rows=0 replay=8 transfer.epochs=2 scratch.epochs=3 scratch.learning_rate=0.05 "
    "scratch.batch_size=16 scratch.short_batch_size=16"
)
SET = [part for assignment in SHORTER.split() for part in ("--set", assignment)]
SMALL_SET = [part for assignment in ("units=2", "embedding=2", "length=8") for part in ("--set", assignment)]

ROWS = [
    (f"This was film {n:03} and it is {word}.", word)
    for n in range(40)
    for word in ("bad", "poor", "ok", "good", "great")
]
RUSSIAN = (("прекрасный", "positive"), ("чудесный", "positive"), ("ужасный", "negative"), ("скучный", "negative"))
SENTIMENT = {"bad": "negative", "poor": "negative"}


def write(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> None:
    path.write_text("\n".join([header, *rows, ""]), encoding)


def write_files(tmp_path: Path) -> None:
    """Write the files of the page into a folder."""
    labelled = [(text, SENTIMENT.get(word, "positive")) for text, word in ROWS]
    write(tmp_path / "reviews.csv", "review,sentiment", [",".join(row) for row in labelled])
    write(tmp_path / "reviews-test.csv", "review,sentiment", ["Not for me,negative", "Just great,positive"])
    table = "\n".join(["text\tlabel", *("\t".join(row) for row in labelled)])
    (tmp_path / "reviews.tsv.gz").write_bytes(gzip.compress(table.encode()))
    objects = [json.dumps({"text": text, "label": label}) for text, label in labelled]
    (tmp_path / "reviews.jsonl").write_text("\n".join(objects))
    for number, (text, label) in enumerate([*labelled, ("Who knows?", "unlabelled")]):
        (tmp_path / "reviews" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "reviews" / label / f"{number}.txt").write_text(text)
    write(tmp_path / "windows.csv", "text,label", [f"{text} Café!,{label}" for text, label in labelled], "cp1252")
    write(
        tmp_path / "shop.csv",
        "Customer;Remark;Verdict",
        [f"{number % 30};{text};{label}" for number, (text, label) in enumerate(labelled)],
    )
    write(tmp_path / "stars.csv", "text,stars", [f"{text},{n % 5 + 1}" for n, (text, _) in enumerate(ROWS)])
    write(tmp_path / "damaged.csv", "text,label", ["a, b,positive", *(",".join(row) for row in labelled)])
    write(
        tmp_path / "russian.csv",
        "text,label",
        [f"Это {word} фильм номер {n}.,{label}" for n in range(30) for word, label in RUSSIAN],
    )
    write(
        tmp_path / "russian-test.csv", "text,label", [f"Вот {word} фильм номер 5.,{label}" for word, label in RUSSIAN]
    )


def write_parquet(folder: Path) -> None:
    """Write the file of the page that needs PyArrow."""
    pyarrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    texts, labels = zip(*((text, SENTIMENT.get(word, "positive")) for text, word in ROWS), strict=True)
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), folder / "reviews.parquet")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files of the page, where commands run."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_store: Store) -> Iterator[Path]:
    """A folder with the files, in which the page's models were trained; the first network is a small one."""
    folder = tmp_path_factory.mktemp("trained")
    write_files(folder)
    write_parquet(folder)
    shutil.copytree(small_store.root / "sentiment", folder / "models" / "sentiment")
    with contextlib.chdir(folder):
        for command in TRAININGS:
            shorter = SET if "train reviews" in command else SMALL_SET
            result = run(*shlex.split(command.removeprefix(PREFIX)), *shorter)
            assert result.exit_code == 0, result.stderr
        yield folder


def read_manifest(folder: Path, name: str) -> Manifest:
    return Manifest.read(folder / "models" / name / "1")


def test_each_format_makes_a_model_that_names_its_data(trained: Path) -> None:
    assert len(TRAININGS) == 7
    files = {
        "my-reviews": "reviews.csv",
        "my-stars": "stars.csv",
        "my-lines": "reviews.jsonl",
        "my-table": "reviews.parquet",
        "my-folder": "reviews",
    }
    for name, file in files.items():
        manifest = read_manifest(trained, name)
        assert manifest.dataset.name == file and manifest.dataset.language == "English"
        assert isinstance(start := manifest.recipe["start"], dict) and start["name"] == "sentiment"
    assert read_manifest(trained, "my-stars").labels == ("negative", "neutral", "positive")


def test_a_small_recipe_takes_the_same_file(trained: Path) -> None:
    manifest = read_manifest(trained, "my-small")
    assert manifest.recipe["name"] == "imdb-20" and manifest.dataset.files[0].name == "reviews.csv"


def test_russian_reviews_have_their_own_words(trained: Path) -> None:
    manifest = read_manifest(trained, "my-russian")
    assert "start" not in manifest.recipe and manifest.dataset.script == "Cyrillic"
    assert manifest.metrics["accuracy"] == 1
    assert "прекрасныи" in (trained / "models" / "my-russian" / "1" / "vocabulary.txt").read_text("utf-8").split()


@pytest.mark.usefixtures("trained")
def test_the_figures_are_measured_again() -> None:
    (command,) = [line for line in LINES if line.startswith(f"{PREFIX}evaluate")]
    result = run(*shlex.split(command.removeprefix(PREFIX)))
    assert result.exit_code == 0 and "The figures are those of the manifest." in result.stdout


def test_the_questions_are_answered(trained: Path) -> None:
    with run_service(trained / "models", trained / "service.log") as service:
        service.wait_until(lambda: (answer := service.ask("GET", "/readyz")) is not None and answer.status_code == 200)
        answers = []
        for question in QUESTIONS:
            question = question.replace("localhost:8000", service.url.removeprefix("http://"))
            answered = subprocess.run(["bash", "-c", question], capture_output=True, check=True)
            answers.append(json.loads(answered.stdout))
    two, three, russian = answers
    assert two["sentiment"] in ("negative", "positive")
    assert {*three["probabilities"]} == {"negative", "neutral", "positive"}
    assert russian["sentiment"] == "positive"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("files")
def test_a_command_works(command: str) -> None:
    assert command.startswith(PREFIX)
    result = run(*shlex.split(command.removeprefix(PREFIX)))
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("files")
def test_the_output_is_the_one_shown() -> None:
    shown = re.findall(r"```\n(data .*?)```", PAGE, re.DOTALL)[0]
    printed = run(*shlex.split(COMMANDS[0].removeprefix(PREFIX))).stdout
    lines = [[line.rstrip() for line in text.splitlines() if "SHA-256" not in line] for text in (printed, shown)]
    assert lines[0] == lines[1]


@pytest.mark.usefixtures("files")
def test_files_that_need_an_option_are_refused_without_it() -> None:
    for name in ("windows.csv", "shop.csv", "damaged.csv"):
        assert run("check", name).exit_code == 1


def test_the_page_has_every_option_and_every_name() -> None:
    options = set(re.findall(r"--[a-z-]+", run("check", "--help").stdout)) - {"--help"}
    assert len(options) == 9 and options == {option for option in options if option in PAGE}
    for name in (*LABEL_NAMES, *TEXT_NAMES[:8]):
        assert f"`{name}`" in PAGE
