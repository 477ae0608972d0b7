"""Files of examples of a user's own code."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from training.errors import DataError
from training.imports.examples import read_examples


@pytest.mark.parametrize(
    ("fields", "labels", "outputs"),
    [
        ({"probability": 0.25}, "ab", [0.25]),
        ({"probability": "0.25"}, "ab", [0.25]),
        ({"probabilities": [0.75, 0.25]}, "ab", [0.25]),
        ({"probabilities": [0.25]}, "ab", [0.25]),
        ({"probabilities": "0.5 0.25 0.25"}, "abc", [0.5, 0.25, 0.25]),
        ({"probabilities": "[0.5, 0.25, 0.25]"}, "abc", [0.5, 0.25, 0.25]),
    ],
)
def test_probabilities_are_those_of_the_outputs(
    tmp_path: Path, fields: dict[str, Any], labels: Sequence[str], outputs: list[float]
) -> None:
    (tmp_path / "e.jsonl").write_text(json.dumps({"text": "a"} | fields) + "\n\n")
    (example,) = read_examples(tmp_path / "e.jsonl", labels)
    assert (example.line, example.outputs.tolist()) == (1, outputs)


@pytest.mark.parametrize(
    ("name", "contents", "labels", "message"),
    [
        ("e.jsonl", '{"text": "a"}', "ab", "line 1: there is no probability"),
        ("e.jsonl", '{"probability": 0.5}', "ab", "line 1: there is neither text nor ids"),
        ("e.jsonl", '{"text": 1, "probability": 0.5}', "ab", "line 1: text is no text"),
        ("e.jsonl", '{"text": "a", "probability": 0.5}', "abc", "line 1: there are 3 labels; give the probabilities"),
        ("e.jsonl", '{"text": "a", "probabilities": [1]}', "abc", "line 1: there are 1 probabilities for 3 labels"),
        ("e.jsonl", '{"text": "a", "probability": "x"}', "ab", "line 1: could not convert"),
        ("e.jsonl", "[1]", "ab", "line 1 is not an object of JSON"),
        ("e.jsonl", "text", "ab", "is neither CSV nor JSON objects, one a line, in UTF-8"),
        ("e.csv", "text,probability\na,0.5\nb,x\n", "ab", "line 3: could not convert"),
        ("e.csv", "", "ab", "has no examples"),
        ("e.csv", "a,0.5\nb,0.5\n", "ab", "line 1: the columns are 'a', '0.5'; the first line has to be a header with"),
        ("e.csv", "text,answer\nb,0.5\n", "ab", "line 1: the columns are 'text', 'answer'; the first line has"),
        (
            "e.csv",
            "text,probability\na,0.5\nb,57.3\n",
            "ab",
            "line 3: the answer has 57.3, which is no probability; gi",
        ),
        ("e.csv", "text,probability\na,nan\n", "ab", "line 2: the answer has NaN or infinity; give probabilities"),
        ("e.jsonl", '{"text": "a", "probability": -0.1}', "ab", "line 1: the answer has -0.1, which is no probability"),
        ("e.jsonl", '{"text": "a", "probabilities": [1e999]}', "ab", "line 1: the answer has NaN or infinity"),
        ("e.jsonl", '{"text": "a", "probabilities": [0.9, 0.8]}', "ab", "line 1: .* whose sum is 1.7, not 1"),
        ("e.jsonl", '{"text": "a", "probabilities": "0.9 0.8 0.7"}', "abc", "line 1: .* whose sum is 2.4, not 1"),
    ],
)
def test_a_line_that_is_no_example_is_named(
    tmp_path: Path, name: str, contents: str, labels: Sequence[str], message: str
) -> None:
    (tmp_path / name).write_text(contents)
    with pytest.raises(DataError, match=message):
        read_examples(tmp_path / name, labels)
