"""Examples of a user's own code, against a network whose answer tells the ids that it got and their places."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bundle.imported_tokenisers import AnyTokeniser, VectorizationTokeniser, WhitespaceTokeniser
from bundle.reviews import ReviewCodec, WordCoding
from bundle.rows import Row
from training.errors import ModelImportError
from training.imports.comparison import SEARCH_SECONDS, Predict, compare, encode
from training.imports.examples import read_examples

QUIET, TWO = Console(quiet=True), ("no", "yes")
IDS = 8  # that the network can read
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


def predict(padded: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return a number for each row that no other row has."""
    numbers: NDArray[np.float32] = (padded @ np.array([1, 8, 64, 512]) / 2**12).astype(np.float32)
    return numbers[:, np.newaxis]


def answer(codec: ReviewCodec, rows: Sequence[Row]) -> NDArray[np.float32]:
    return predict(codec.pad(rows))


def check(
    path: Path, codec: ReviewCodec, console: Console = QUIET, predict: Predict = predict, labels: Sequence[str] = TWO
) -> float:
    """Compare the examples in a file with a bundle of a coding."""
    examples = read_examples(path, labels)
    return compare(examples, codec, answer(codec, encode(examples, codec)), predict, IDS, console)


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
    assert check(write(tmp_path, make_codec(), ids=ids, padded=padded), make_codec()) < 1e-6


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
    path = write(tmp_path, make_codec(**changes), texts, ids=ids)
    with pytest.raises(ModelImportError, match=f"with {options} the first 5 examples agree"):
        check(path, make_codec())


def test_the_standardisation_that_agrees_is_named(tmp_path: Path) -> None:
    theirs = make_codec(VectorizationTokeniser(standardise="lower"))
    path = write(tmp_path, theirs, ("a, b", "A c"), ids=False)
    with pytest.raises(ModelImportError, match="with --standardise lower the first 2 examples agree"):
        check(path, make_codec(VectorizationTokeniser()))


def test_the_first_example_that_differs_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, make_codec(padding_side="left"), ids=True)
    with pytest.raises(ModelImportError) as raised:
        check(path, make_codec())
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
        check(path, make_codec())


def test_the_search_for_another_coding_is_shown_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "examples.csv"
    path.write_text("text,probability\na b,0.5\n")
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def take_long(padded: NDArray[np.int32]) -> NDArray[np.float32]:
        clock[0] += SEARCH_SECONDS / 2 + 1
        return predict(padded)

    with pytest.raises(ModelImportError, match=f"no other coding agreed in {SEARCH_SECONDS} s of search; typical caus"):
        check(path, make_codec(), Console(), take_long)
    assert clock[0] <= 2 * SEARCH_SECONDS
    assert f"Other codings are tried, for at most {SEARCH_SECONDS} s." in capsys.readouterr().out


def test_other_codings_are_tried_together(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text("text,probability\na b,0.5\n")
    sizes = []

    def count(padded: NDArray[np.int32]) -> NDArray[np.float32]:
        assert padded.max() < IDS  # a network has no vectors for other ids
        sizes.append(len(padded))
        return predict(padded)

    with pytest.raises(ModelImportError, match="typical causes"):
        check(path, make_codec(), predict=count)
    assert sum(sizes) > 50 and len(sizes) < 10


def test_long_texts_are_shown_by_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text(f"text,probability\n{'a ' * 60}b,0.5\n")
    with pytest.raises(ModelImportError, match=r"words: (a \| ){20}\.\.\. \| (a \| ){19}b\n"):
        check(path, make_codec())


def test_ids_alone_are_compared(tmp_path: Path) -> None:
    path, codec = tmp_path / "examples.csv", make_codec()
    (expected,) = answer(codec, [np.array([2, 3], np.int32)])[0].tolist()
    path.write_text(f'ids,probability\n2 3 0 0,{expected}\n"[2, 3]",{expected}\n')
    assert check(path, codec) < 1e-6
    path.write_text("ids,probability\n2 9,0.5\n")
    with pytest.raises(
        ModelImportError, match="the ids of the example on line 2 do not fit the coding: 9 at position 1"
    ):
        check(path, codec)
    path.write_text("ids,probability\n2 3,0.5\n")
    with pytest.raises(ModelImportError, match="(?s)answers otherwise.*\n  ids: 2 3\n  answer"):
        check(path, codec)
