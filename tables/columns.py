"""Columns by their usual names."""

import unicodedata
from collections.abc import Mapping, Sequence

from tables.errors import TableError, show_names
from tables.table import Table

# Compared without case, accents, spaces, hyphens and underscores. English first, then German, French, Spanish, Russian.
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
    *("Kommentar", "Rezension", "Nachricht"),
    *("texte", "avis", "commentaire"),
    *("texto", "reseña", "comentario"),
    *("текст", "отзыв", "комментарий", "сообщение"),
)
LABEL_NAMES = (
    *("label", "sentiment", "class", "category", "target", "rating", "stars", "score", "polarity"),
    *("Klasse", "Kategorie", "Stimmung"),
    *("étiquette", "classe", "catégorie"),
    *("etiqueta", "clase", "categoría", "sentimiento"),
    *("метка", "класс", "категория", "оценка", "тональность"),
)

_LONG_WORDS = 5  # a name of a column has fewer


def find_column(table: Table, kind: str, usual: Sequence[str], others: Mapping[str, str | None] | None = None) -> str:
    """Return the only column that has a usual name.

    Args:
        table: with the columns.
        kind: what the column has, as in the option `--KIND-column`.
        usual: the names.
        others: the columns that have something else, by what they have.

    Raises:
        TableError: there is none, or there are several.
    """
    names = {_fold(name) for name in usual}
    taken = {column: other for other, column in (others or {}).items()}
    usually = [name for name in table.columns if _fold(name) in names]
    fitting = [name for name in usually if name not in taken]
    if len(fitting) == 1:
        return fitting[0]
    remedy = f"name the right one with --{kind}-column"
    if fitting:
        which = f"{show_names(fitting)} could all be the {kind}s"
    elif usually:
        other = taken[usually[0]]
        which = (
            f"{show_names(usually[:1])} is the column of the {kind}s already, so it cannot be that of the {other}s too"
        )
        remedy = f"name another one with --{other}-column, or with --{kind}-column"
    else:
        which = f"no column is named {kind}"
    raise TableError(f"{which}; {remedy}: {list_columns(table)}")


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
    """Return whether a first line is rather a row than a header: long texts or numbers.

    A field without a name says nothing: it is the head of the row numbers that pandas and R write.
    """
    return any(len(field.split()) >= _LONG_WORDS or _is_number(field.strip().lstrip("+-")) for field in fields)


def _fold(name: str) -> str:
    signs = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sign for sign in signs if sign not in " _-" and not unicodedata.combining(sign))


def _is_number(field: str) -> bool:
    return field.replace(".", "", 1).isdecimal()
