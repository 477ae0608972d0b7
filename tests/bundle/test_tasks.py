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
from bundle.tasks import (
    MOST_LABEL_CHARACTERS,
    MOST_LABELS,
    NEXT_LETTER,
    SENTIMENT,
    TASKS,
    Task,
    check_labels,
    count_outputs,
)
from tests.bundle.samples import LETTERS, REVIEWS, publish


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
    assert [count_outputs(labels) for labels in (("a", "b"), ("a", "b", "c"), NEXT_LETTER.labels)] == [1, 3, 26]


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


@pytest.mark.parametrize(
    "labels",
    [
        ("negative", "positive"),
        ("positive", "other", "negative"),
        ("1 star", "2 stars", "3+ stars"),
        ("\u043f\u043b\u043e\u0445\u043e", "\u0445\u043e\u0440\u043e\u0448\u043e"),
        ("a", "A"),
        ("x" * MOST_LABEL_CHARACTERS, "\N{FAMILY}\u200d"),
        tuple(map(str, range(MOST_LABELS))),
    ],
)
def test_a_bundle_may_have_any_labels(labels: tuple[str, ...]) -> None:
    check_labels(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "there are 0 labels, and a bundle has 2 to 50"),
        (("good",), "there are 1 labels"),
        (tuple(map(str, range(MOST_LABELS + 1))), "there are 51 labels.* not ids or texts"),
        (("good", ""), "the label '' is empty"),
        (("good", "\u3000 "), "the label .* is empty"),
        (("good", "bad", "good"), "the label 'good' occurs twice"),
        (("good", " good"), "the label ' good' occurs twice"),
        (("good", "x" * (MOST_LABEL_CHARACTERS + 1)), "has 101 characters, at most 100 are allowed"),
        (("good", "b\nad"), "has a control character or a line break"),
        (("good", "b\x7fad"), "has a control character or a line break"),
        (("good", "b\u2028ad"), "has a control character or a line break"),
        (("positive", "negative"), "of two labels 'positive' is the second"),
        (("good", "uncertain"), "'uncertain' is what the service answers if no label is probable enough"),
    ],
)
def test_labels_that_cannot_be_told_apart_or_shown_are_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(labels)


def test_a_manifest_has_the_labels_of_its_own_bundle() -> None:
    described = Description(**REVIEWS.model_dump() | {"labels": ("bad", "so-so", "good")})
    assert described.labels == ("bad", "so-so", "good")
    assert (described.outputs, REVIEWS.outputs) == (3, 1)
    with pytest.raises(ValidationError, match="occurs twice"):
        Description(**REVIEWS.model_dump() | {"labels": ("bad", "bad")})
    with pytest.raises(ValidationError, match="are not those of the task 'next-letter'"):
        Description(**LETTERS.model_dump() | {"labels": ("bad", "good")})
