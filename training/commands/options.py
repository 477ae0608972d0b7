"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="The IMDB archive, or the folder unpacked from it (default: downloaded to the user's cache); for the "
        "recipes reviews, imdb-500 and imdb-20, your labelled texts as for `check`; for the recipe letters, a text "
        "file with one sequence a line, also as .gz."
    ),
]


ResultsOption = Annotated[Path, typer.Option("--results", help="The file of the recorded runs.")]


AssignmentsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; repeatable.")
]


NameOption = Annotated[str | None, typer.Option(help="The bundle's name.  [default: the recipe's]")]


ModelsOption = Annotated[Path, typer.Option(help="The folder of the bundles.")]


QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only errors and the last line.")]
TextColumnOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The column of the texts.  [default: found by its usual names]"),
]
LabelColumnOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The column of the labels.  [default: found by its usual names]"),
]
GroupColumnOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A column such as the author: no group is in both parts of the split."),
]
LabelMapOption = Annotated[
    str | None,
    typer.Option(
        metavar="OLD,...=NEW;...",
        help='Other labels, as in "1,2=negative;4,5=positive"; rows of labels that are not named are left out.',
    ),
]
TestOption = Annotated[
    Path | None, typer.Option(help="Your own test data: a file or folder.  [default: a share of the data]")
]
LanguageOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The language of the texts, such as English.  [default: guessed]")
]
TestShareOption = Annotated[float, typer.Option(help="The share of the data to test with, if there is no --test.")]
EncodingOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The encoding of text files, such as cp1252.  [default: UTF-8, or by its mark]"),
]
SkipBadRowsOption = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave out and count rows of your own data that cannot be read.")
]
