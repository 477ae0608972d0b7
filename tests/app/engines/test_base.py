from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines.base import check
from bundle.errors import ManifestError
from bundle.letters import LetterCodec
from bundle.manifest import Description
from bundle.rows import Row
from bundle.store import Store
from tests.bundle.samples import LETTERS, REVIEWS, publish


class Recorder:
    """An engine that keeps what it is asked, and always answers the same."""

    batch_rows = 1

    def __init__(self, answer: Sequence[float]) -> None:
        self.asked: list[Row] = []
        self._answer = answer

    def count_steps(self, row: Row) -> int:
        return len(row)

    def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        self.asked += rows
        return np.array([self._answer] * len(rows), np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


LONG = LETTERS.model_copy(update={"preprocessing": LetterCodec(length=60, first_code=0)})


THREE = REVIEWS.model_copy(update={"labels": ("bad", "so-so", "good")})


def answer_evenly(description: Description) -> list[float]:
    outputs = description.outputs
    return [1 / outputs if outputs > 1 else 0.5] * outputs


@pytest.mark.parametrize("description", [LETTERS, LONG, REVIEWS, THREE])
def test_a_network_is_run_on_its_longest_row_and_on_others(store: Store, description: Description) -> None:
    bundle = publish(store, description)
    engine = Recorder(answer_evenly(description))
    check(engine, bundle)
    assert len(engine.asked[0]) == bundle.codec.length
    assert {1, 2, min(bundle.codec.length, 16)} <= {len(row) for row in engine.asked}
    assert max(len(row) for row in engine.asked) == bundle.codec.length
    assert {row.dtype for row in engine.asked} == {bundle.codec.padding.dtype}


@pytest.mark.parametrize(
    ("description", "outputs"), [(LETTERS, 25), (LETTERS, 1), (REVIEWS, 2), (REVIEWS, 0), (THREE, 1), (THREE, 2)]
)
def test_a_network_of_other_outputs_is_refused(store: Store, description: Description, outputs: int) -> None:
    bundle = publish(store, description)
    message = (
        rf"/{bundle.manifest.name}/1 answers with the shape \(1, {outputs}\), "
        rf"its manifest says \(1, {description.outputs}\)"
    )
    with pytest.raises(ManifestError, match=message):
        check(Recorder([0.5] * outputs), bundle)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_no_numbers_is_refused(store: Store, number: float) -> None:
    with pytest.raises(ManifestError, match="/letters/1 answers with NaN or infinity"):
        check(Recorder([0.5] * 25 + [number]), publish(store, LETTERS))


@pytest.mark.parametrize(
    ("description", "answer", "message"),
    [
        (REVIEWS, [-0.25], "answers with -0.25, which is no probability"),
        (REVIEWS, [1.5], "answers with 1.5, which is no probability"),
        (THREE, [-0.5, 0.5, 1.0], "answers with -0.5, which is no probability"),
        (THREE, [0.7, 0.6, 0.5], "answers with 3 numbers whose sum is 1.8, not 1; .* a softmax for more"),
        (THREE, [0.1, 0.1, 0.1], "answers with 3 numbers whose sum is 0.3, not 1"),
    ],
)
def test_a_network_whose_outputs_are_no_probabilities_is_refused(
    store: Store, description: Description, answer: list[float], message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        check(Recorder(answer), publish(store, description))
