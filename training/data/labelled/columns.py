"""Columns by their usual names."""

from collections.abc import Sequence
from pathlib import Path

from training.data.labelled.source import Columns
from training.errors import DataError

# Compared without case, spaces, hyphens and underscores.
TEXT_NAMES = (
    "text",
    "review",
    "sentence",
    "content",
    "comment",
    "body",
    "message",
    "tweet",
    "review text",
    "review body",
    "review content",
    "comment text",
    "tweet text",
)
LABEL_NAMES = ("label", "sentiment", "class", "category", "target", "rating", "stars", "score", "polarity")

_LONG_WORDS = 5  # a name of a column has fewer


def find_columns(path: Path, found: Sequence[str], wanted: Columns, hint: str = "") -> Columns:
    """Return the columns to read: those that are wanted, and the others by their usual names.

    Args:
        path: the file, for messages.
        found: the columns of the file.
        wanted: the names that the user gave.
        hint: what else may be wrong, for messages.

    Raises:
        DataError: a wanted column is missing or occurs twice, or none or several have a usual name.
    """
    listed = f"the columns of {path} are: {', '.join(map(repr, found))}{hint}"
    given = {wanted.text, wanted.label, wanted.group} - {None}
    free = [name for name in found if name not in given]
    text = wanted.text or _find("text", free, TEXT_NAMES, listed)
    label = wanted.label or _find("label", [name for name in free if name != text], LABEL_NAMES, listed)
    columns = Columns(text, label, wanted.group)
    names = [name for name in (text, label, wanted.group) if name is not None]
    for name in names:
        if found.count(name) != 1:
            count = "no column" if name not in found else "several columns"
            raise DataError(f"there is {count} {name!r}; {listed}")
    if len({*names}) < len(names):
        raise DataError(f"text, label and group are different columns, not {', '.join(names)}; {listed}")
    return columns


def looks_like_data(fields: Sequence[str]) -> bool:
    """Return whether a first line is rather a row than a header: long texts, numbers, or fields without a name."""
    return any(
        not field.strip() or len(field.split()) >= _LONG_WORDS or _is_number(field.strip().lstrip("+-"))
        for field in fields
    )


def _find(kind: str, free: Sequence[str], usual: Sequence[str], listed: str) -> str:
    names = {_fold(name) for name in usual}
    fitting = [name for name in free if _fold(name) in names]
    if len(fitting) != 1:
        which = f"{', '.join(map(repr, fitting))} could all be the {kind}s" if fitting else f"no column is named {kind}"
        raise DataError(f"{which}; name the right one with --{kind}-column: {listed}")
    return fitting[0]


def _fold(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign not in " _-")


def _is_number(field: str) -> bool:
    return field.replace(".", "", 1).isdecimal()
