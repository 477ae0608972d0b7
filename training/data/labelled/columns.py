"""Which columns of a table have the text, the label and the group."""

from tables.columns import LABEL_NAMES, TEXT_NAMES, check_columns, find_column, list_columns
from tables.table import Table
from training.data.labelled.source import Columns
from training.errors import DataError


def find_columns(table: Table, wanted: Columns) -> Columns:
    """Return the columns to read: those that are wanted, and the others by their usual names.

    Raises:
        DataError: one column is to have two uses.
        TableError: a wanted column is missing or occurs twice, or none or several have a usual name.
    """
    given = {"label": wanted.label, "group": wanted.group}
    text = wanted.text or find_column(table, "text", TEXT_NAMES, given)
    label = wanted.label or find_column(table, "label", LABEL_NAMES, {"text": text, "group": wanted.group})
    columns = Columns(text, label, wanted.group)
    names = [name for name in (text, label, wanted.group) if name is not None]
    check_columns(table, names)
    if len({*names}) < len(names):
        raise DataError(f"text, label and group are different columns, not {', '.join(names)}; {list_columns(table)}")
    return columns
