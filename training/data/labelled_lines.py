"""Files of lines `text<TAB>label`, whatever the labels are."""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from training.errors import DataError


def read_labelled_lines(path: Path, is_right: Callable[[str, str], bool], form: str) -> list[tuple[str, str]]:
    """Return the texts and labels of a file of lines `text<TAB>label`; a first line `text<TAB>label` is left out.

    Args:
        path: of the file, in UTF-8.
        is_right: whether a text with a label can be used; labels come without spaces around them.
        form: of a line, for the message about another one.

    Raises:
        DataError: the file cannot be read, is empty, or has another line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_read_rows(path, file, is_right, form))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; give a UTF-8 file of lines text<TAB>label") from error
    if not rows:
        raise DataError(f"{path} has no texts; give a file of lines text<TAB>label")
    return rows


def _read_rows(
    path: Path, lines: Iterable[str], is_right: Callable[[str, str], bool], form: str
) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if not row or (number == 1 and row[1:] == ["label"]):
            continue
        text, label = row[0], row[-1].strip()
        if len(row) != 2 or not is_right(text, label):
            found = "\t".join(row)
            raise DataError(f"{path}, line {number} is {found[:80]!r}; {form}")
        yield text, label
