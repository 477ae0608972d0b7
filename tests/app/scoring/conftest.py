"""Files of texts, and what answers them: a network of the repository in this process, which starts in no time."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engines import load_engine
from app.scoring.answers import Answer, Refused
from app.scoring.scorer import EngineScorer, Model
from app.settings import Settings
from bundle.store import Bundle, Store
from tests.app.service import ROOT

MODELS = ROOT / "models"
NAME = "imdb-500"
MAX_TEXT_CHARACTERS = 1_000_000

WORDS = "a tender wonderful film with two dull hours that I will never forget or get back qwxz".split()
ADDED = ("predicted_sentiment", "probability_positive", "words_used", "words_unknown", "words_cut")
FORMATS = ("csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "parquet")

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is not installed")
every_format = pytest.mark.parametrize(
    "format", [pytest.param(name, marks=needs_pyarrow if name == "parquet" else ()) for name in FORMATS]
)


def make_texts(count: int) -> list[str]:
    """Return texts of 1 to 40 words, all of them different."""
    return [" ".join(WORDS[(7 * n + k) % len(WORDS)] for k in range(n % 40)) + f" number {n}" for n in range(count)]


def make_rows(count: int) -> list[dict[str, Any]]:
    """Return rows whose columns are no ASCII and need quotes."""
    return [
        {"id": n, "review": text, "note": f'"é", {n}\r\n;\t', "label": ("negative", "positive")[n % 2]}
        for n, text in enumerate(make_texts(count))
    ]


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows in the format of a suffix."""
    names = [*rows[0]]
    match path.name.partition(".")[2].removesuffix(".gz"):
        case "parquet":
            import_module("pyarrow.parquet").write_table(import_module("pyarrow").Table.from_pylist([*rows]), path)
            return path
        case "jsonl":
            content = "".join(f"{json.dumps(row)}\n" for row in rows)
        case suffix:
            text = io.StringIO(newline="")
            delimiter = "\t" if suffix == "tsv" else ","
            csv.writer(text, delimiter=delimiter).writerows([names, *([*row.values()] for row in rows)])
            content = text.getvalue()
    path.write_bytes(gzip.compress(content.encode()) if path.name.endswith(".gz") else content.encode())
    return path


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, with numbers as numbers and missing values as None."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = import_module("pyarrow.parquet").read_table(path).to_pylist()
        for row in rows:
            number = row["probability_positive"]
            row["probability_positive"] = None if number is None else float(str(np.float32(number)))
        return rows
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.split("\n")[:-1]]
    delimiter = "\t" if ".tsv" in path.name else ","
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    numbers = {"id": int, "probability_positive": float, **dict.fromkeys(ADDED[2:], int)}
    return [
        {
            name: None if name in ADDED and not field else numbers.get(name, str)(field)
            for name, field in zip(header, line, strict=True)
        }
        for line in lines
    ]


class HereScorer:
    """Answers in this process; a hook sees the texts before."""

    places = 2
    most_texts = 16

    def __init__(self, bundle: Bundle, scorer: EngineScorer, hook: Callable[[Sequence[str]], object]) -> None:
        manifest = bundle.manifest
        self.model = Model(manifest.task, manifest.labels, {"model": manifest.name, "version": manifest.version})
        self._scorer = scorer
        self._hook = hook
        self.calls = 0

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        self._hook(texts)
        self.calls += 1
        return self._scorer.score(texts)

    def close(self) -> None:
        """Do nothing: nothing was started."""


MakeScorer = Callable[..., HereScorer]


@pytest.fixture(scope="session")
def make_scorer() -> MakeScorer:
    """A function that returns a new scorer of a model."""
    loaded: dict[str, tuple[Bundle, EngineScorer]] = {}

    def make(name: str = NAME, hook: Callable[[Sequence[str]], object] = len) -> HereScorer:
        if name not in loaded:
            bundle = Store(MODELS).open(name)
            loaded[name] = bundle, EngineScorer(bundle, load_engine(bundle, Settings()), MAX_TEXT_CHARACTERS)
        return HereScorer(*loaded[name], hook)

    return make


@pytest.fixture
def rows() -> Iterator[list[dict[str, Any]]]:
    """Rows for several windows."""
    yield make_rows(150)
