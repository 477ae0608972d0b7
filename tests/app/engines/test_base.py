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


@pytest.mark.parametrize(("description", "outputs"), [(LETTERS, 26), (LONG, 26), (REVIEWS, 1)])
def test_a_network_is_run_once_on_a_row_of_its_full_length(
    store: Store, description: Description, outputs: int
) -> None:
    bundle = publish(store, description)
    engine = Recorder([0.5] * outputs)
    check(engine, bundle)
    (row,) = engine.asked
    assert len(row) == bundle.codec.length
    assert row.dtype == bundle.codec.padding.dtype


@pytest.mark.parametrize(("description", "outputs"), [(LETTERS, 25), (LETTERS, 1), (REVIEWS, 2), (REVIEWS, 0)])
def test_a_network_of_other_outputs_is_refused(store: Store, description: Description, outputs: int) -> None:
    bundle = publish(store, description)
    expected = "26" if description is LETTERS else "1"
    message = rf"/{bundle.manifest.name}/1 answers with the shape \(1, {outputs}\), its manifest says \(1, {expected}\)"
    with pytest.raises(ManifestError, match=message):
        check(Recorder([0.5] * outputs), bundle)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_network_that_gives_no_numbers_is_refused(store: Store, number: float) -> None:
    with pytest.raises(ManifestError, match="/letters/1 answers with NaN or infinity"):
        check(Recorder([0.5] * 25 + [number]), publish(store, LETTERS))
