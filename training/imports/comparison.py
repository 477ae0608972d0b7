"""The comparison of a bundle's answers with those of a user's own code, and the search for the coding of that code."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console

from bundle.errors import IdsError
from bundle.reviews import ReviewCodec, WordCoding
from bundle.rows import Row
from training.errors import ModelImportError
from training.imports.examples import Example

TOLERANCE = 1e-4  # largest allowed difference between the answers of a bundle and of the user's code
SEARCH_SECONDS = 20  # for the coding that would make the examples agree
_TRIED_EXAMPLES = 8  # examples that other codings are tried on
_TRIED_CODINGS = 32  # at once
_SHOWN = 40  # words or ids in a message
_CAUSES = (
    "typical causes: ids shifted by one or three (--offset), the other side padded or cut (--padding, --truncation), "
    "lower case or punctuation (--tokeniser, --standardise, --lower), the id of unknown words (--unknown-id), a start "
    "id (--start-id)"
)

Predict = Callable[[NDArray[np.int32]], NDArray[np.float32]]  # padded rows, [rows, steps], to outputs, [rows, outputs]


def encode(examples: Sequence[Example], codec: ReviewCodec) -> list[Row]:
    """Return the rows of examples: of their texts, or of their ids where there is no text.

    Raises:
        ModelImportError: ids do not fit the coding.
    """
    return [_encode(example, codec) for example in examples]


def compare(
    examples: Sequence[Example],
    codec: ReviewCodec,
    answers: NDArray[np.float32],
    predict: Predict,
    most_ids: int,
    console: Console,
) -> float:
    """Return the largest difference between the answers of a bundle and of the user's code.

    Args:
        examples: of the user's code.
        codec: of the bundle.
        answers: of the bundle to the rows of the examples, float32 [examples, outputs].
        predict: answers to padded rows, for the search of another coding.
        most_ids: number of ids that the network can read.
        console: shows that it is searched.

    Raises:
        ModelImportError: ids or answers differ; the message has the first example that differs, and the coding with
            which the examples agree, if one is found.
    """
    rows = encode(examples, codec)
    differences = [float(abs(found - example.outputs).max()) for found, example in zip(answers, examples, strict=True)]
    for example, row, found, difference in zip(examples, rows, answers, differences, strict=True):
        has_other_ids = example.text is not None and not _agree(example, row, codec)
        if has_other_ids or not difference <= TOLERANCE:
            what = "makes other ids" if has_other_ids else "answers otherwise"
            raise ModelImportError(
                f"the bundle {what} than your code for the example on line {example.line}; nothing was published\n"
                f"{_describe(example, row, codec)}\n"
                f"  answer: {_list(found.astype(np.float64).round(6))}; of your code: "
                f"{_list(example.outputs.round(6))}\n"
                f"  {_find_remedy(examples[:_TRIED_EXAMPLES], codec, predict, most_ids, console)}"
            )
    return max(differences)


def _encode(example: Example, codec: ReviewCodec) -> Row:
    if example.text is not None:
        return codec.encode(example.text).ids
    assert example.ids is not None
    try:
        return codec.read(example.ids).ids
    except IdsError as error:
        raise ModelImportError(
            f"the ids of the example on line {example.line} do not fit the coding: {error}"
        ) from error


def _agree(example: Example, row: Row, codec: ReviewCodec) -> bool:
    """Return whether the ids of a text are those of the example; padded ones have to be padded alike."""
    if example.ids is None:
        return True
    if len(example.ids) == codec.length:
        return np.array_equal(codec.pad([row])[0], example.ids)
    return np.array_equal(row, example.ids)


def _describe(example: Example, row: Row, codec: ReviewCodec) -> str:
    lines = []
    if example.text is not None:
        lines.append(f"  words: {_list(codec.preprocessing.tokeniser.split(example.text), ' | ')}")
    padded = example.ids is not None and len(example.ids) == codec.length
    ids = codec.pad([row])[0] if padded else row
    lines.append(f"  ids: {_list(ids.tolist())}")
    if example.ids is not None and example.text is not None:
        lines.append(f"  ids of your code: {_list(example.ids.tolist())}")
    return "\n".join(lines)


def _list(values: Sequence[object] | NDArray[Any], between: str = " ") -> str:
    """Return values for a message; of many, the first and the last."""
    shown = [str(value) for value in values]
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN // 2], "...", *shown[-_SHOWN // 2 :]]
    return between.join(shown)


def _find_remedy(
    examples: Sequence[Example], codec: ReviewCodec, predict: Predict, most_ids: int, console: Console
) -> str:
    """Return the options with which the examples agree, or else what to look for."""
    console.print(f"The examples differ. Other codings are tried, for at most {SEARCH_SECONDS} s.", soft_wrap=True)
    end = time.monotonic() + SEARCH_SECONDS
    fitting = _list_fitting(examples, codec, most_ids)
    while part := list(islice(fitting, _TRIED_CODINGS)):
        if time.monotonic() > end:
            return f"no other coding agreed in {SEARCH_SECONDS} s of search; {_CAUSES}"
        answers = predict(np.stack([rows[0] for _, rows in part]))  # most codings fail at the first example
        for (options, rows), found in zip(part, answers, strict=True):
            if _is_close(found, examples[0]) and all(map(_is_close, predict(rows), examples)):
                return f"with {options} the first {len(examples)} examples agree"
    return _CAUSES


def _list_fitting(
    examples: Sequence[Example], codec: ReviewCodec, most_ids: int
) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """Yield the options of other codings that make the ids of the examples, and the padded rows, [examples, steps]."""
    for options, other in _list_codings(codec, most_ids):
        try:
            rows = encode(examples, other)
        except ModelImportError:
            continue
        if all(_agree(example, row, other) for example, row in zip(examples, rows, strict=True)):
            yield options, other.pad(rows)


def _is_close(found: NDArray[np.float32], example: Example) -> bool:
    return bool(abs(found - example.outputs).max() <= TOLERANCE)


def _list_codings(codec: ReviewCodec, most_ids: int) -> Iterator[tuple[str, ReviewCodec]]:
    """Yield other codings of the same words, with ids that the network can read, and the options that make them.

    The smallest changes come first.
    """
    coding = codec.preprocessing
    assert isinstance(coding, WordCoding)
    changes: list[list[tuple[str, dict[str, Any]]]] = [
        [(f"--padding {side}", {"padding_side": side}) for side in ("left", "right")],
        [(f"--truncation {side}", {"truncation_side": side}) for side in ("left", "right")],
        [(f"--offset {offset}", {"rank_offset": offset}) for offset in range(-1, 5)],
        [(f"--unknown-id {_name(each)}", {"unknown_id": each}) for each in (None, 0, 1, 2, 3)],
        [(f"--start-id {_name(each)}", {"start_id": each}) for each in (None, 1, 2)],
        _list_tokenisers(coding),
    ]
    fields = coding.model_dump()
    # No change of a kind is its first entry; combinations with fewer changes come first.
    choices = [[("", {}), *each] for each in changes]
    combined = sorted(product(*choices), key=lambda chosen: sum(bool(option) for option, _ in chosen))
    seen = {json.dumps(fields)}
    for chosen in combined:
        if not 0 < sum(bool(option) for option, _ in chosen) <= 3:
            continue
        changed = fields | {name: value for _, change in chosen for name, value in change.items()}
        if (key := json.dumps(changed)) in seen:
            continue
        seen.add(key)
        try:
            other = WordCoding.model_validate(changed)
        except ValidationError:
            continue
        if other.vocabulary_size <= most_ids:
            yield " ".join(option for option, _ in chosen if option), ReviewCodec(other, codec.vocabulary)


def _list_tokenisers(coding: WordCoding) -> list[tuple[str, dict[str, Any]]]:
    fields = coding.tokeniser.model_dump()
    if fields["kind"] == "text-vectorization":
        names = ("lower-strip-punctuation", "lower", "strip-punctuation", "none")
        return [(f"--standardise {name}", {"tokeniser": fields | {"standardise": name}}) for name in names]
    if fields["kind"] == "whitespace":
        return [
            ("--no-lower" if fields["lower"] else "--lower", {"tokeniser": fields | {"lower": not fields["lower"]}})
        ]
    return []


def _name(number: int | None) -> str:
    return "none" if number is None else str(number)
