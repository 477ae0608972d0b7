"""Examples of a user's own code, against a network whose answer tells the ids that it got and their places."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.imported_tokenisers import AnyTokeniser, VectorizationTokeniser, WhitespaceTokeniser
from bundle.reviews import ReviewCodec, WordCoding
from bundle.rows import Row
from training.errors import DataError, ModelImportError
from training.imports.examples import compare, read_examples

WORDS = ("a", "b", "c", "d")
TEXTS = ("a b", "c", "d c b a d", "x a")


def make_codec(tokeniser: AnyTokeniser | None = None, **changes: Any) -> ReviewCodec:
    fields: dict[str, Any] = {
        "tokeniser": tokeniser or WhitespaceTokeniser(lower=False),
        "words": len(WORDS),
        "length": 4,
        "padding_id": 0,
        "start_id": None,
        "unknown_id": 1,
        "rank_offset": 1,
        "padding_side": "right",
        "truncation_side": "right",
    }
    return ReviewCodec(WordCoding(**fields | changes), WORDS)


def answer(codec: ReviewCodec, rows: Sequence[Row]) -> NDArray[np.float32]:
    """Return a number for each row that no other row has."""
    numbers: NDArray[np.float32] = (codec.pad(rows) @ np.array([1, 16, 256, 4096]) / 2**12).astype(np.float32)
    return numbers[:, np.newaxis]


def write(folder: Path, codec: ReviewCodec, texts: Sequence[str] = TEXTS, *, ids: bool, padded: bool = True) -> Path:
    """Write the examples of code with a coding."""
    path = folder / "examples.jsonl"
    rows = [codec.encode(text).ids for text in texts]
    lines = []
    for text, row, (probability,) in zip(texts, rows, answer(codec, rows).tolist(), strict=True):
        shown = codec.pad([row])[0] if padded else row
        lines.append(json.dumps({"text": text, "probability": probability} | ({"ids": shown.tolist()} if ids else {})))
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize(("ids", "padded"), [(True, True), (True, False), (False, False)])
def test_examples_of_the_same_coding_agree(tmp_path: Path, ids: bool, padded: bool) -> None:
    examples = read_examples(write(tmp_path, make_codec(), ids=ids, padded=padded), ("no", "yes"))
    assert compare(examples, make_codec(), answer) < 1e-6


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"padding_side": "left"}, "--padding left"),
        ({"truncation_side": "left"}, "--truncation left"),
        ({"padding_side": "left", "truncation_side": "left"}, "--padding left --truncation left"),
        ({"rank_offset": 3}, "--offset 3"),
        ({"unknown_id": None}, "--unknown-id none"),
        ({"start_id": 1, "unknown_id": 2, "rank_offset": 3}, "--offset 3 --unknown-id 2 --start-id 1"),
        ({"tokeniser": WhitespaceTokeniser(lower=True)}, "--lower"),
    ],
)
def test_the_coding_that_agrees_is_named(tmp_path: Path, changes: dict[str, Any], options: str, ids: bool) -> None:
    texts = (*TEXTS, "A b")
    examples = read_examples(write(tmp_path, make_codec(**changes), texts, ids=ids), ("no", "yes"))
    with pytest.raises(ModelImportError, match=f"with {options} the first 5 examples agree"):
        compare(examples, make_codec(), answer)


def test_the_standardisation_that_agrees_is_named(tmp_path: Path) -> None:
    theirs = make_codec(VectorizationTokeniser(standardise="lower"))
    examples = read_examples(write(tmp_path, theirs, ("a, b", "A c"), ids=False), ("no", "yes"))
    with pytest.raises(ModelImportError, match="with --standardise lower the first 2 examples agree"):
        compare(examples, make_codec(VectorizationTokeniser()), answer)


def test_the_first_example_that_differs_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, make_codec(padding_side="left"), ids=True)
    with pytest.raises(ModelImportError) as raised:
        compare(read_examples(path, ("no", "yes")), make_codec(), answer)
    assert str(raised.value).splitlines()[:4] == [
        "the bundle makes other ids than your code for the example on line 1; nothing was published",
        "  words: a | b",
        "  ids: 2 3 0 0",
        "  ids of your code: 0 0 2 3",
    ]


def test_other_answers_for_the_same_ids_have_causes_to_look_for(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text("text,probability\na b,0.5\n")
    with pytest.raises(
        ModelImportError, match="(?s)answers otherwise.* answer: .*; of your code: 0.5\n  typical causes"
    ):
        compare(read_examples(path, ("no", "yes")), make_codec(), answer)


def test_long_texts_are_shown_by_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text(f"text,probability\n{'a ' * 60}b,0.5\n")
    with pytest.raises(ModelImportError, match=r"words: (a \| ){20}\.\.\. \| (a \| ){19}b\n"):
        compare(read_examples(path, ("no", "yes")), make_codec(), answer)


def test_ids_alone_are_compared(tmp_path: Path) -> None:
    path, codec = tmp_path / "examples.csv", make_codec()
    (expected,) = answer(codec, [np.array([2, 3], np.int32)])[0].tolist()
    path.write_text(f'ids,probability\n2 3 0 0,{expected}\n"[2, 3]",{expected}\n')
    assert compare(read_examples(path, ("no", "yes")), codec, answer) < 1e-6
    path.write_text("ids,probability\n2 9,0.5\n")
    with pytest.raises(
        ModelImportError, match="the ids of the example on line 2 do not fit the coding: 9 at position 1"
    ):
        compare(read_examples(path, ("no", "yes")), codec, answer)
    path.write_text("ids,probability\n2 3,0.5\n")
    with pytest.raises(ModelImportError, match="(?s)answers otherwise.*\n  ids: 2 3\n  answer"):
        compare(read_examples(path, ("no", "yes")), codec, answer)


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
    ],
)
def test_a_line_that_is_no_example_is_named(
    tmp_path: Path, name: str, contents: str, labels: Sequence[str], message: str
) -> None:
    (tmp_path / name).write_text(contents)
    with pytest.raises(DataError, match=message):
        read_examples(tmp_path / name, labels)
