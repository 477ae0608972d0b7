"""Examples of a user's own code, read from a file.

An example has a text, the ids that the user's code makes of it, or both; and the probabilities that it answers.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.probabilities import find_fault
from bundle.tasks import count_outputs
from training.errors import DataError

_INPUTS = frozenset({"text", "ids"})
_ANSWERS = frozenset({"probability", "probabilities"})


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
                _check_header(path, reader.fieldnames)
                for fields in reader:
                    yield reader.line_num, fields
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise DataError(f"{path} is neither CSV nor JSON objects, one a line, in UTF-8 ({error})") from error


def _check_header(path: Path, columns: Sequence[str] | None) -> None:
    if columns and not (_INPUTS & {*columns} and _ANSWERS & {*columns}):
        raise DataError(
            f"{path}, line 1: the columns are {', '.join(map(repr, columns))}; the first line has to be a header with "
            "text or ids, and with probability or probabilities"
        )


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
        return Example(line, text, numbers, _check_probabilities([float(probability)]))
    if (several := fields.get("probabilities")) in (None, ""):
        raise ValueError("there is no probability")
    found = _read_numbers(several, float)
    if len(found) not in (len(labels), outputs):
        raise ValueError(f"there are {len(found)} probabilities for {len(labels)} labels")
    return Example(line, text, numbers, _check_probabilities(found)[-outputs:])


def _check_probabilities(numbers: Sequence[float]) -> NDArray[np.float64]:
    found = np.array(numbers, np.float64)
    if fault := find_fault(found[np.newaxis]):
        raise ValueError(f"the answer has {fault}; give probabilities, from 0 to 1, not logits or per cent")
    return found


def _read_numbers(value: Any, kind: type[int] | type[float]) -> list[int] | list[float]:
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("[") else value.split()
    return [kind(each) for each in value]
