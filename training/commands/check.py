"""`python -m training check`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from training.commands.options import (
    EncodingOption,
    GroupColumnOption,
    LabelColumnOption,
    LabelMapOption,
    SkipBadRowsOption,
    TestOption,
    TestShareOption,
    TextColumnOption,
)
from training.commands.terminal import clear_errors, clear_usage, console
from training.data.labelled.description import render
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.source import Columns


def check(
    data: Annotated[Path, typer.Argument(help="A CSV, TSV, JSON Lines or Parquet file, or a folder.")],
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    group_column: GroupColumnOption = None,
    label_map: LabelMapOption = None,
    test: TestOption = None,
    test_share: TestShareOption = 0.2,
    encoding: EncodingOption = None,
    skip_bad_rows: SkipBadRowsOption = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the split.")] = 1,
) -> None:
    """Read your own labelled texts as a training would, and show what is in them and what is odd."""
    columns = Columns(text_column, label_column, group_column)
    options = DataOptions(columns, test, test_share, label_map, encoding, skip_bad_rows)
    with clear_usage():
        options.check()
    with clear_errors(), console.status(f"Reading {escape(str(data))}"):
        found = read(data, options, seed)
    console.print(render(found.description))
