"""The commands of docs/own-letters.md, run on sequences whose structure is known."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.manifest import Manifest
from tests.app.service import run_service

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own-letters.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)
TRAININGS = [command for command in COMMANDS if " train " in command]
QUESTIONS = [command for command in COMMANDS if command.startswith("curl")]

# What makes a training short.
SHORTER = " --set units=16 --set embedding=4 --set learning_rate=0.02 --set epochs=6 --set length=16"

# After each letter of DNA, the probabilities of the next.
STEPS = np.array([[0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7], [0.7, 0.1, 0.1, 0.1]])
WORDS = ("καλημέρα", "καλός", "καλά", "θάλασσα", "ουρανός", "ήλιος", "Αθήνα", "λόγος", "φίλος", "δρόμος")


def draw_dna(random: np.random.Generator, count: int, length: int) -> list[str]:
    """Return sequences of the Markov chain with these steps."""
    lines = []
    for _ in range(count):
        letters = [int(random.integers(4))]
        while len(letters) < length:
            letters.append(int(random.choice(4, p=STEPS[letters[-1]])))
        lines.append("".join("ACGT"[letter] for letter in letters))
    return lines


def draw_code(random: np.random.Generator) -> str:
    """Return a product code: its last letter tells whether the last digit before it is even."""
    pair, number = random.choice(("AB", "CD", "EF")), random.integers(1000, 10_000)
    return f"{pair}-{number}-{'XY'[number % 2]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, and the code linked."""
    place = tmp_path_factory.mktemp("letters")
    random = np.random.default_rng(1)
    lines = draw_dna(random, 500, 30)
    (place / "dna.txt").write_text("".join(f"{line.lower() if k % 2 else line}\n" for k, line in enumerate(lines)))
    codes = [draw_code(random) for _ in range(700)]
    (place / "codes.txt").write_text("\n".join(codes))
    (place / "new-codes.txt").write_text("\n".join([codes[0], *(draw_code(random) for _ in range(50))]))
    words = [f"{first} {second}" for first in WORDS for second in WORDS]
    (place / "words.txt.gz").write_bytes(gzip.compress("\n".join(words).encode()))
    for name in ("app", "bundle", "tables", "training"):
        (place / name).symlink_to(ROOT / name)
    return place


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """What each training printed, by the name of its model."""
    found = {}
    for command in TRAININGS:
        name = command.rpartition(" ")[2]
        found[name] = run(folder, command + SHORTER)
    return found


def run(folder: Path, command: str) -> str:
    command = command.replace(".venv/bin/python", sys.executable)
    result = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def read_metrics(folder: Path, name: str) -> dict[str, float]:
    return Manifest.read(folder / "models" / name / "1").metrics


@pytest.fixture(scope="module")
def url(folder: Path, printed: dict[str, str]) -> Iterator[str]:
    assert printed
    with run_service(folder / "models", folder / "service.log") as service:
        service.wait_until(lambda: (answer := service.ask("GET", "/readyz")) is not None and answer.status_code == 200)
        yield service.url


def ask(url: str, question: str) -> Any:
    question = question.replace("localhost:8000", url.removeprefix("http://"))
    return json.loads(subprocess.run(["bash", "-c", question], capture_output=True, check=True).stdout)


def test_the_page_has_three_trainings_and_as_many_questions() -> None:
    assert len(TRAININGS) == len(QUESTIONS) == 3
    assert len(COMMANDS) == 8


def test_dna_is_learnt_up_to_its_entropy(folder: Path, printed: dict[str, str]) -> None:
    entropy = -(STEPS[0] * np.log2(STEPS[0])).sum()  # of each row, as they are permutations
    metrics = read_metrics(folder, "my-dna")
    assert metrics["bits"] == pytest.approx(entropy, abs=0.08)
    assert metrics["accuracy"] == pytest.approx(0.7, abs=0.05)
    card = (folder / "models" / "my-dna" / "1" / "README.md").read_text("utf-8")
    ngram = re.search(r"\| n-gram with back-off, 1 characters of context \| [\d.]+% \| [\d.]+% \| ([\d.]+) \|", card)
    assert ngram and float(ngram[1]) == pytest.approx(entropy, abs=0.06)
    assert ("The n-gram is better" in card) == (float(ngram[1]) <= metrics["bits"])
    assert re.search(r"dna.txt: 500 lines with 15,000 characters\n", printed["my-dna"])


def test_codes_are_tested_on_lines_of_another_file(folder: Path, printed: dict[str, str]) -> None:
    common = {*(folder / "codes.txt").read_text().split()} & {*(folder / "new-codes.txt").read_text().split()}
    found = re.search(r"(\d+) lines are also in new-codes.txt; they are not trained on", printed["my-codes"])
    assert found and int(found[1]) >= len(common) >= 1
    manifest = Manifest.read(folder / "models" / "my-codes" / "1")
    assert manifest.dataset.name == "codes.txt, tested on new-codes.txt"
    assert manifest.dataset.test_examples == 51 * len("B-1234-X")
    assert manifest.metrics["top_3_accuracy"] > manifest.metrics["accuracy"] > 0.3
    evaluated = run(folder, ".venv/bin/python -m training evaluate models/my-codes/1 --data new-codes.txt")
    assert "The figures are those of the manifest." in evaluated


def test_words_have_their_own_characters(folder: Path, printed: dict[str, str]) -> None:
    labels = Manifest.read(folder / "models" / "my-words" / "1").labels
    assert {"α", "ά", "ς", " "} <= set(labels) and "Α" not in labels
    assert f"words.txt.gz: {len(labels)} characters found: ' " in printed["my-words"]


def test_the_figures_are_measured_again(folder: Path, printed: dict[str, str]) -> None:
    assert printed
    (command,) = [each for each in COMMANDS if " evaluate " in each]
    assert "The figures are those of the manifest." in run(folder, command)


def test_the_questions_are_answered(url: str) -> None:
    dna, codes, words = (ask(url, question) for question in QUESTIONS)
    assert dna["next_letter"] == "G" and {entry["letter"] for entry in dna["top"]} == set("ACGT")
    assert dna["top"][0]["probability"] == pytest.approx(0.7, abs=0.15)
    assert [answer["next_letter"] for answer in codes["answers"]][0] == "B"
    assert words["outputs"][0]["data"][0] in set("".join(WORDS).lower() + " ")
