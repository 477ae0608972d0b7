from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from bundle.codec import Preprocessing
from bundle.letters import ALPHABET
from bundle.manifest import Description, Manifest
from bundle.rows import Row
from bundle.store import Store
from bundle.tasks import NEXT_LETTER, SENTIMENT, TASKS, Task, count_outputs
from tests.bundle.samples import LETTERS, publish


class DigitCodec(Preprocessing):
    """Digits as numbers, for a task that only these tests know."""

    kind: Literal["digits"] = "digits"
    length: int = Field(ge=1)

    @property
    def preprocessing(self) -> "DigitCodec":
        return self

    @property
    def padding(self) -> np.float32:
        return np.float32(0)

    def open_codec(self, _: Path) -> "DigitCodec":
        return self

    def make_longest_row(self) -> Row:
        return np.ones(self.length, np.float32)

    def make_row(self, steps: int, random: np.random.Generator, /) -> Row:
        return random.integers(0, 10, steps).astype(np.float32)

    def pad(self, rows: list[Row]) -> NDArray[np.float32]:
        return np.zeros((len(rows), self.length), np.float32)


PARITY = Task("parity", ("even", "odd"), DigitCodec)


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch) -> Iterator[Description]:
    """What describes a bundle of a task that is registered while a test runs."""
    monkeypatch.setitem(TASKS, PARITY.name, PARITY)
    fields = LETTERS.model_dump() | {"name": "parity", "task": "parity", "labels": PARITY.labels}
    yield Description(**fields | {"preprocessing": DigitCodec(length=3)})


def test_labels_are_in_the_order_of_the_outputs() -> None:
    assert NEXT_LETTER.labels == tuple(ALPHABET)
    assert SENTIMENT.labels == ("negative", "positive")


def test_two_labels_share_one_output() -> None:
    assert {name: count_outputs(task.labels) for name, task in TASKS.items()} == {"next-letter": 26, "sentiment": 1}


def test_a_registered_task_has_bundles(parity: Description, tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, parity)
    bundle = store.open("parity")
    assert bundle.codec == DigitCodec(length=3)
    assert Manifest.read(bundle.folder) == bundle.manifest


def test_a_section_of_a_registered_task_is_checked(parity: Description) -> None:
    fields = parity.model_dump() | {"preprocessing": {"kind": "digits", "length": 0}}
    with pytest.raises(ValidationError, match=r"preprocessing.length\n  Input should be greater"):
        Description(**fields)


def test_a_task_that_is_not_registered_has_none() -> None:
    with pytest.raises(ValidationError, match="the tasks of this release are next-letter, sentiment"):
        Description(**LETTERS.model_dump() | {"task": "parity"})
