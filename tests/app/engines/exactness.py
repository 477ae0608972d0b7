"""What every engine promises of a row: the same answer, to the bit, alone and in any batch; as a property to test."""

import numpy as np
from hypothesis import strategies as st

from app.engines.base import Engine
from bundle.rows import Row
from bundle.store import Bundle
from tests.bundle.samples import random_rows

MOST_ROWS = 20


@st.composite
def lists_of_rows(draw: st.DrawFn, bundle: Bundle) -> list[Row]:
    """Draw rows of any lengths, from none, which nobody can ask, to the full one; short ones are as likely as long."""
    length = st.one_of(st.integers(0, min(3, bundle.codec.length)), st.integers(0, bundle.codec.length))
    lengths = draw(st.lists(length, min_size=2, max_size=MOST_ROWS))
    return random_rows(bundle, lengths, draw(st.integers(0, 1000)))


def check_exactness(engine: Engine, rows: list[Row], data: st.DataObject) -> None:
    """Fail if an answer depends on the order of rows or on the batches that they are run in."""
    alone = np.concatenate([engine.run([row]) for row in rows])
    assert alone.dtype == np.float32
    order = data.draw(st.permutations(range(len(rows))))
    size = data.draw(st.integers(1, len(rows)))
    for at in range(0, len(rows), size):
        part = order[at : at + size]
        np.testing.assert_array_equal(engine.run([rows[index] for index in part]), alone[part])
