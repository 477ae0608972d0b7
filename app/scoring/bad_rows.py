"""Rows that cannot be scored: why, and how they are written."""

import json
from collections.abc import Iterable

from app.errors import ScoringError
from app.scoring.answers import Refused
from app.scoring.writing import Writer
from tables.table import BadRow, Row


def check(row: Row, writer: Writer) -> Row | BadRow:
    """Return a row, or why it cannot be scored."""
    text = row.values[0]
    if not isinstance(text, str):
        found = "nothing" if text is None else f"a value of the type {type(text).__name__}"
        return BadRow(row.position, f"has {found} in the column of the texts; a text was expected")
    problem = writer.find_problem(row.record)
    return BadRow(row.position, problem) if problem else row


def make_bad_row(position: int, refused: Refused) -> BadRow:
    """Return a row whose text the model cannot read."""
    return BadRow(position, f"cannot be read by the model: {refused.reason}")


def encode(name: str, unit: str, rows: Iterable[BadRow]) -> bytes:
    """Return bad rows as JSON Lines.

    Args:
        name: of their file.
        unit: of their positions, such as `line`.
        rows: the rows.
    """
    lines = (json.dumps({"file": name, unit: row.position, "reason": row.reason}) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def make_error(name: str, unit: str, row: BadRow) -> ScoringError:
    """Return the error of a bad row that has no file to go to."""
    return ScoringError(f"{name}, {unit} {row.position} {row.reason}. With --bad-rows FILE such rows go to a file")
