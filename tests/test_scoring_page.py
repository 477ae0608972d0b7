"""Every command of docs/scoring.md is run on files as the page describes them."""

import gzip
import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from app.settings import Settings
from bundle.store import Store
from tests.bundle.samples import publish_changed
from tests.conftest import serve

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "scoring.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
ROWS = [
    (f"This was film {n:03} and it is {word}.", label) for n in range(100) for word, label in (("bad", 0), ("great", 1))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as that of a checkout, with the files of the page, where its commands run one after the other."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (".venv", "app", "bundle", "tables"):
        (folder / name).symlink_to(ROOT / name)
    publish_changed(Store(folder / "models"), Store(ROOT / "models").open("imdb-500"), name="sentiment")
    labels = ("negative", "positive")
    table = "".join(f"{text},{labels[label]}\n" for text, label in ROWS)
    (folder / "reviews.csv").write_text(f"review,sentiment\n{table}")
    (folder / "damaged.csv").write_text(f"review,sentiment\na, b,positive\n{table}")
    objects = "".join(f"{json.dumps({'review': text})}\n" for text, _ in ROWS)
    (folder / "reviews.jsonl.gz").write_bytes(gzip.compress(objects.encode()))
    if find_spec("pyarrow"):
        columns = {"review": [text for text, _ in ROWS], "stars": [label for _, label in ROWS]}
        import_module("pyarrow.parquet").write_table(
            import_module("pyarrow").table(columns), folder / "reviews.parquet"
        )
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serve(Settings(models=folder / "models")) as client:
        yield str(client.base_url)


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works(folder: Path, url: str, command: str) -> None:
    if "parquet" in command and not find_spec("pyarrow"):
        pytest.skip("pyarrow is not installed")
    if "jq" in command and not which("jq"):
        pytest.skip("jq is not installed")
    if "again.csv again-scored.csv" in command and not (folder / "again.csv").exists():
        pytest.skip("jq is not installed")
    ended = run(folder, command.replace("http://localhost:8000", url))
    assert ended.returncode == 0, ended.stderr
    rows = 1 if "again-scored" in command else 200
    if "app score" in command:
        assert re.search(rf"^{rows} rows? in [0-9.]+ s, [0-9,]+ rows/s$", ended.stderr, re.MULTILINE)


def test_the_outputs_agree(folder: Path) -> None:
    scored, asked = ((folder / name).read_text().splitlines() for name in ("scored.csv", "asked.csv"))
    assert scored == asked and len(scored) == 201
    assert (folder / "repaired.csv").read_text().splitlines() == scored
    bad = json.loads((folder / "bad.jsonl").read_text())
    assert (bad["line"], bad["row"]) == (2, "a, b,positive")
    assert len((folder / "piped.jsonl").read_text().splitlines()) == 200


def test_the_page_has_every_option_and_column(folder: Path) -> None:
    options = set(re.findall(r"--[a-z-]+", run(folder, ".venv/bin/python -m app score --help").stdout))
    assert {option for option in options - {"--help"} if option not in PAGE} == set()
    for name in (folder / "scored.csv").read_text().partition("\n")[0].split(",")[2:]:
        assert f"`{name}`" in PAGE
