"""The error of the package. A message says what came, what was expected and what to do."""

from collections.abc import Sequence

_SHOWN_CHARACTERS = 60
_SHOWN_NAMES = 20


class TableError(Exception):
    """A file cannot be read, or cannot be read as a table."""


def unreadable(name: str, error: Exception) -> TableError:
    """Return the error of a file that is damaged or cannot be read."""
    return TableError(f"{name} cannot be read ({error}); check the file, or write it again")


def show_names(names: Sequence[str]) -> str:
    """Return names for a message, in quotes; of long ones and of many only the beginning."""
    shown = ", ".join(
        repr(name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}...")
        for name in names[:_SHOWN_NAMES]
    )
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES:,} more"
