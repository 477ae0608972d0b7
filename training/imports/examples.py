"""Examples of a user's own code, and the comparison of a bundle's answers with them.

An example has a text, the ids that the user's code makes of it, or both; and the probabilities that it answers.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bundle.errors import IdsError
from bundle.reviews import ReviewCodec, WordCoding
from bundle.rows import Row
from bundle.tasks import count_outputs
from training.errors import DataError, ModelImportError

TOLERANCE = 1e-4  # largest allowed difference between the answers of a bundle and of the user's code
_TRIED_EXAMPLES = 8  # examples that other codings are tried on
_SHOWN = 40  # words or ids in a message
_CAUSES = (
    "typical causes: ids shifted by one or three (--offset), the other side padded or cut (--padding, --truncation), "
    "lower case or punctuation (--tokeniser, --standardise, --lower), the id of unknown words (--unknown-id), a start "
    "id (--start-id)"
)

Answer = Callable[[ReviewCodec, Sequence[Row]], NDArray[np.float32]]  # rows of a codec to outputs, [rows, outputs]


@dataclass(frozen=True)
class Example:
    """One example; `line` is its line in the file.

    Attributes:
        line: in the file.
        text: the text, if there is one.
        ids: as the network reads them, padded or not, if there are any.
        outputs: the probabilities, float64 [outputs]; of two labels only of the second.
    """

    line: int
    text: str | None
    ids: NDArray[np.int64] | None
    outputs: NDArray[np.float64]


def read_examples(path: Path, labels: Sequence[str]) -> list[Example]:
    """Read examples from a CSV file, or from a file of JSON objects, one a line (.jsonl).

    Fields: `text` or `ids` or both; `probability`, of the second of two labels, or `probabilities`, of every label. In
    CSV, several numbers are separated by spaces, or a list of JSON.

    Raises:
        DataError: a line is no example; the message names it.
        OSError: it cannot be read.
    """
    examples = []
    for line, fields in _read_lines(path):
        try:
            examples.append(_read_example(line, fields, labels))
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}, line {line}: {error}") from error
    if not examples:
        raise DataError(f"{path} has no examples")
    return examples


def _read_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix in (".jsonl", ".json"):
                for line, text in enumerate(file, 1):
                    if text.strip():
                        fields = json.loads(text)
                        if not isinstance(fields, dict):
                            raise DataError(f"{path}, line {line} is not an object of JSON")
                        yield line, fields
            else:
                reader = csv.DictReader(file)
                for fields in reader:
                    yield reader.line_num, fields
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is neither CSV nor JSON objects, one a line, in UTF-8 ({error})") from error


def _read_example(line: int, fields: Mapping[str, Any], labels: Sequence[str]) -> Example:
    text, ids = fields.get("text"), fields.get("ids")
    numbers = None if ids in (None, "") else np.array(_read_numbers(ids, int), np.int64)
    if text is not None and not isinstance(text, str):
        raise ValueError("text is no text")
    if text is None and numbers is None:
        raise ValueError("there is neither text nor ids")
    outputs = count_outputs(labels)
    if (probability := fields.get("probability")) not in (None, ""):
        if outputs > 1:
            raise ValueError(f"there are {len(labels)} labels; give the probabilities of all")
        return Example(line, text, numbers, np.array([float(probability)]))
    if (several := fields.get("probabilities")) in (None, ""):
        raise ValueError("there is no probability")
    found = np.array(_read_numbers(several, float))
    if len(found) not in (len(labels), outputs):
        raise ValueError(f"there are {len(found)} probabilities for {len(labels)} labels")
    return Example(line, text, numbers, found[-outputs:])


def _read_numbers(value: Any, kind: type[int] | type[float]) -> list[int] | list[float]:
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("[") else value.split()
    return [kind(each) for each in value]


def compare(examples: Sequence[Example], codec: ReviewCodec, answer: Answer) -> float:
    """Return the largest difference between the answers of a bundle and of the user's code.

    Raises:
        ModelImportError: ids or answers differ; the message has the first example that differs, and the coding with
            which the examples agree, if one is found.
    """
    rows = [_encode(example, codec) for example in examples]
    answers = answer(codec, rows).astype(np.float64)
    differences = [float(abs(found - example.outputs).max()) for found, example in zip(answers, examples, strict=True)]
    for example, row, found, difference in zip(examples, rows, answers, differences, strict=True):
        has_other_ids = example.text is not None and not _agree(example, row, codec)
        if has_other_ids or not difference <= TOLERANCE:
            what = "makes other ids" if has_other_ids else "answers otherwise"
            raise ModelImportError(
                f"the bundle {what} than your code for the example on line {example.line}; nothing was published\n"
                f"{_describe(example, row, codec)}\n"
                f"  answer: {_list(found.round(6))}; of your code: {_list(example.outputs.round(6))}\n"
                f"  {_find_remedy(examples, codec, answer)}"
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


def _find_remedy(examples: Sequence[Example], codec: ReviewCodec, answer: Answer) -> str:
    """Return the options with which the examples agree, or else what to look for."""
    tried = examples[:_TRIED_EXAMPLES]
    for options, other in _list_codings(codec):
        try:
            rows = [_encode(example, other) for example in tried]
            if not all(_agree(example, row, other) for example, row in zip(tried, rows, strict=True)):
                continue
            answers = answer(other, rows)
        except ModelImportError:
            continue
        if all(abs(found - each.outputs).max() <= TOLERANCE for found, each in zip(answers, tried, strict=True)):
            return f"with {options} the first {len(tried)} examples agree"
    return _CAUSES


def _list_codings(codec: ReviewCodec) -> Iterator[tuple[str, ReviewCodec]]:
    """Yield other codings of the same words with the options that make them, the smallest changes first."""
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
        if other.vocabulary_size <= coding.vocabulary_size + 4:
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
