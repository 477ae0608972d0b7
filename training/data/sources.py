"""Where the data of a training are."""

from dataclasses import dataclass
from pathlib import Path

from training.data import pairs


@dataclass(frozen=True)
class Sources:
    """The files and folders that a user names; a recipe reads those that it needs.

    Attributes:
        reviews: see `imdb.load`.
        phrases: see `treebank.load`.
        pairs: see `pairs.load`.
        transformer: see `training.general.transformer.Transformer`.
    """

    reviews: Path | None = None
    phrases: Path | None = None
    pairs: Path = pairs.FOLDER
    transformer: Path | None = None
