"""Files of labelled texts, and a function that reads them."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from training.data.labelled.reading import DataOptions, read
from training.data.labelled.texts import LabelledTexts

Write = Callable[..., Path]
Read = Callable[..., LabelledTexts]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows as a CSV file with the columns text, label and more."""

    def write(rows: Iterable[tuple[str, ...]], name: str = "my.csv", more: tuple[str, ...] = ()) -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label", *more), *rows])
        return tmp_path / name

    return write


@pytest.fixture
def read_rows(write: Write) -> Read:
    """Write rows as `write`, and read them with options."""

    def read_rows(rows: Iterable[tuple[str, ...]], more: tuple[str, ...] = (), **options: Any) -> LabelledTexts:
        return read(write(rows, more=more), DataOptions(**options), seed=1)

    return read_rows


def make_rows(**labels: int) -> list[tuple[str, str]]:
    """Return as many rows of each label, with different texts."""
    return [(f"{label} text {number}", label) for label, count in labels.items() for number in range(count)]
