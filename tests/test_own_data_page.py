"""Every command of docs/own-data.md is run on files as the page describes them."""

import gzip
import json
import re
import shlex
from pathlib import Path

import pytest

from tables.columns import LABEL_NAMES, TEXT_NAMES
from tests.training.main.command import run

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PREFIX = ".venv/bin/python -m training "

ROWS = [
    (f"This was film {n:03} and it is {word}.", word)
    for n in range(40)
    for word in ("bad", "poor", "ok", "good", "great")
]
SENTIMENT = {"bad": "negative", "poor": "negative"}


def write(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> None:
    path.write_text("\n".join([header, *rows, ""]), encoding)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files of the page, where commands run."""
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
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
