"""The error of the package. A message says what came, what was expected and what to do."""


class TableError(Exception):
    """A file cannot be read, or cannot be read as a table."""


def unreadable(name: str, error: Exception) -> TableError:
    """Return the error of a file that is damaged or cannot be read."""
    return TableError(f"{name} cannot be read ({error}); check the file, or write it again")
