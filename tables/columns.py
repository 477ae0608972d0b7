"""Columns by their usual names."""

from collections.abc import Sequence

from tables.errors import TableError, show_names
from tables.table import Table

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


def find_column(table: Table, kind: str, usual: Sequence[str], without: Sequence[str | None] = ()) -> str:
    """Return the only column that has a usual name.

    Args:
        table: with the columns.
        kind: what the column has, as in the option `--KIND-column`.
        usual: the names.
        without: columns that have something else.

    Raises:
        TableError: there is none, or there are several.
    """
    names = {_fold(name) for name in usual}
    fitting = [name for name in table.columns if name not in without and _fold(name) in names]
    if len(fitting) != 1:
        which = f"{show_names(fitting)} could all be the {kind}s" if fitting else f"no column is named {kind}"
        raise TableError(f"{which}; name the right one with --{kind}-column: {list_columns(table)}")
    return fitting[0]


def check_columns(table: Table, names: Sequence[str]) -> None:
    """Check that a table has each of these columns once.

    Raises:
        TableError: it has not.
    """
    for name in names:
        if table.columns.count(name) != 1:
            count = "is no column" if name not in table.columns else "are several columns"
            advice = "" if name not in table.columns else "; rename all but one"
            raise TableError(f"there {count} {show_names([name])}{advice}; {list_columns(table)}")


def list_columns(table: Table) -> str:
    """Return which columns there are, for messages."""
    return f"the columns of {table.source.name} are: {show_names(table.columns)}{table.hint}"


def looks_like_data(fields: Sequence[str]) -> bool:
    """Return whether a first line is rather a row than a header: long texts, numbers, or fields without a name."""
    return any(
        not field.strip() or len(field.split()) >= _LONG_WORDS or _is_number(field.strip().lstrip("+-"))
        for field in fields
    )


def _fold(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign not in " _-")


def _is_number(field: str) -> bool:
    return field.replace(".", "", 1).isdecimal()
