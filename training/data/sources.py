"""Where the data of a training are."""

from dataclasses import dataclass
from pathlib import Path

from training.data import pairs


@dataclass(frozen=True)
class Sources:
    """The files and folders that a user names; a recipe reads those that it needs.

    Attributes:
        reviews: see `imdb.load`; for the recipe letters, the file of the sequences.
        phrases: see `treebank.load`.
        pairs: see `pairs.load`.
        transformer: see `training.general.transformer.Transformer`.
        test: a file of its own for the test examples.
        skip_bad_rows: whether to leave out rows that cannot be read; by default they are errors.
    """

    reviews: Path | None = None
    phrases: Path | None = None
    pairs: Path = pairs.FOLDER
    transformer: Path | None = None
    test: Path | None = None
    skip_bad_rows: bool = False
