"""Where the data of a training are."""

from dataclasses import dataclass
from pathlib import Path

from training.data import pairs
from training.data.labelled.reading import DataOptions
from training.data.labelled.texts import LabelledTexts


@dataclass(frozen=True)
class Sources:
    """The files and folders that a user names; a recipe reads those that it needs.

    Attributes:
        reviews: see `imdb.load`; for the recipe letters, the file of the sequences.
        phrases: see `treebank.load`.
        own_phrases: see `training.data.phrases.load`.
        pairs: see `pairs.load`.
        transformer: see `training.general.transformer.Transformer`.
        options: how the user's own data are read.
        labelled: the user's own labelled texts, if they have been read already.
    """

    reviews: Path | None = None
    phrases: Path | None = None
    pairs: Path = pairs.FOLDER
    transformer: Path | None = None
    options: DataOptions = DataOptions()
    labelled: LabelledTexts | None = None
    own_phrases: tuple[Path, ...] = ()
