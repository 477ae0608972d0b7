"""What the errors of other libraries become, in words that operators and clients can read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from bundle.errors import explain


class Point(BaseModel):
    x: int
    y: int

    @field_validator("y")
    @classmethod
    def _check(cls, value: int) -> int:
        if value > 9:
            raise ValueError("y is above 9")
        return value


def fail(call: Callable[[], object]) -> str:
    """Return what the error of a call becomes."""
    try:
        call()
    except (OSError, ValueError, RecursionError) as error:
        return explain(error)
    raise AssertionError("it does not fail")


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"", "it is not JSON at line 1, column 1"),
        (b'{\n "a": x}', "it is not JSON at line 2, column 7"),
        (b'{"a": "\xff"}', "byte 7 (the first is 0) is not UTF-8"),
        (b"[" * 100_000, "its lists or objects are nested too deeply"),
        (b"9" * 5000, "a number in it has too many digits"),
    ],
)
def test_what_is_no_json_has_the_place(contents: bytes, expected: str) -> None:
    assert fail(lambda: json.loads(contents)) == expected


def test_a_value_that_does_not_fit_has_the_fields_and_no_values() -> None:
    assert fail(lambda: Point.model_validate({"x": "secret", "y": 10})) == (
        "x: Input should be a valid integer, unable to parse string as an integer; y: y is above 9"
    )
    assert fail(lambda: Point.model_validate_json("{")) == "it is not JSON at line 1, column 1"


def test_a_list_of_a_wrong_length_has_its_limit() -> None:
    class Pair(BaseModel):
        numbers: list[int] = Field(min_length=1, max_length=2)

    expected = {0: "at least 1 item, not 0", 3: "at most 2 items, not 3"}
    for length, phrase in expected.items():
        with pytest.raises(ValidationError) as raised:
            Pair(numbers=[1] * length)
        assert explain(raised.value) == f"numbers: Input should have {phrase}"


def test_of_many_problems_the_first_are_listed() -> None:
    class Points(BaseModel):
        points: list[Point]

    explained = fail(lambda: Points.model_validate({"points": [{"x": 1}] * 50}))
    assert explained.startswith("points.0.y: Field required; points.1.y: Field required; ")
    assert explained.endswith("points.9.y: Field required; 40 more problems")


def test_a_file_that_cannot_be_read_has_the_reason_without_its_number(tmp_path: Path) -> None:
    assert fail(lambda: (tmp_path / "none").read_bytes()) == "No such file or directory"
    assert explain(OSError("it is a pipe")) == "it is a pipe"
