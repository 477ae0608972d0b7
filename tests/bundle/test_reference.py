import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.errors import ManifestError
from bundle.reference import BOUNDS, REFERENCE_FILE, Reference, find_probability

VALUES: dict[str, list[float]] = {
    "length": [1, 2, 2, 5000],
    "unknown_share": [0, 0, 0.004, 1],
    "probability": [0.01, 0.5, 0.51, 0.999],
}


def test_a_value_is_counted_in_the_bucket_whose_bound_it_does_not_pass() -> None:
    reference = Reference.count("four texts", VALUES)
    assert reference.counts["length"] == (1, 2, *[0] * 8, 0, 1)
    assert reference.counts["unknown_share"] == (2, 1, 0, 0, 0, 0, 0, 0, 1)
    assert reference.share("probability") == [0.25, 0, 0, 0, 0, 0, 0.25, 0.25, 0, 0, 0, 0, 0, 0.25]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    reference = Reference.count("four texts", VALUES)
    reference.write(tmp_path)
    assert Reference.read(tmp_path) == reference


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bounds": {"length": [1, 2]}}, "this release counts length in other buckets"),
        ({"bounds": {"mood": [1, 2]}, "counts": {"mood": [1, 2, 3]}}, "this release counts mood in other buckets"),
        ({"counts": {}}, "has 0 examples in 0 of "),
        ({"counts": {"length": [1, 2]}}, "examples in "),
        ({"counts": {"length": [0] * 12}}, "length has 0 examples in 12 of 12 buckets"),
        ({"counts": {"length": [-1] * 12}}, "greater than or equal to 0"),
        ({"more": 1}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_one_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    fields = Reference.count("four texts", {"length": VALUES["length"]}).model_dump()
    (tmp_path / REFERENCE_FILE).write_text(json.dumps(fields | change))
    with pytest.raises(ManifestError, match=f"{REFERENCE_FILE} is not a reference of this release .*{why}"):
        Reference.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", '{"a": NaN}'])
def test_a_file_that_is_no_reference_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / REFERENCE_FILE).write_text(text)
    with pytest.raises(ManifestError, match="train the bundle again"):
        Reference.read(tmp_path)


def test_the_probability_is_that_of_the_second_of_two_labels_or_of_the_likeliest() -> None:
    assert find_probability(np.array([0.25], np.float32)) == 0.25
    assert find_probability(np.array([0.25, 0.5, 0.25], np.float32)) == 0.5


def test_bounds_rise() -> None:
    for bounds in BOUNDS.values():
        assert list(bounds) == sorted(set(bounds))
