"""Where the data of a training are."""

from dataclasses import dataclass
from pathlib import Path

from training.data import pairs
from training.data.labelled.reading import DataOptions


@dataclass(frozen=True)
class Sources:
    """The files and folders that a user names; a recipe reads those that it needs.

    Attributes:
        reviews: see `imdb.load`; for the recipe letters, the file of the sequences.
        phrases: see `treebank.load`.
        pairs: see `pairs.load`.
        transformer: see `training.general.transformer.Transformer`.
        options: how the user's own data are read.
    """

    reviews: Path | None = None
    phrases: Path | None = None
    pairs: Path = pairs.FOLDER
    transformer: Path | None = None
    options: DataOptions = DataOptions()
