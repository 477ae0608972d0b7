"""The user's own labelled texts in the form of the film reviews, for the recipes that are trained on these at once."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rich.console import Console

from tables.errors import TableError
from tables.inputs import FileInput
from training.data import review_coding
from training.data.imdb import Imdb, Review
from training.data.labelled.description import DataDescription, render
from training.data.labelled.formats import is_archive
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.texts import Texts
from training.errors import DataError


@dataclass(frozen=True, kw_only=True)
class OwnTexts(Imdb):
    """Labelled texts with any two labels; 1 is the second one. The numbers of the reviews are those of the rows.

    Attributes:
        labels: the labels in their order.
        description: of the data.
    """

    labels: tuple[str, ...]
    description: DataDescription


def load(source: Path | None, seed: int, console: Console) -> Imdb:
    """Return the film reviews, or the user's own texts if the source is another file or folder.

    `seed` is that of the split of the user's own texts.

    Raises:
        DataError: the data cannot be used, or the user's have more than two labels.
    """
    if source is None or not source.exists() or _has_reviews(source):
        return review_coding.load_reviews(source, console)
    return _read(source, seed, console)


def _has_reviews(source: Path) -> bool:
    """Return whether a file is an archive, or a folder has a part to train on."""
    if source.is_dir():
        return (source / "train").is_dir()
    try:
        return is_archive(FileInput(source))
    except TableError:  # damaged: the reading of the archive says so
        return True


@lru_cache(maxsize=1)
def _read(source: Path, seed: int, console: Console) -> OwnTexts:
    texts = read(source, DataOptions(), seed)
    if len(texts.labels) > 2:
        raise DataError(
            f"{source} has the labels {', '.join(texts.labels)}, and this recipe learns two; use the recipe reviews, "
            "which learns any number and joins labels with --label-map"
        )
    console.print(render(texts.description))
    return OwnTexts(
        train=_take(texts.train),
        test=_take(texts.test),
        unlabelled=tuple(texts.unlabelled.read()),
        sha256=texts.description.data.sha256,
        name=texts.description.name,
        labels=texts.labels,
        description=texts.description,
    )


def _take(texts: Texts) -> tuple[Review, ...]:
    return tuple(
        Review(label, position, 0, text)
        for label, position, text in zip(texts.labels.tolist(), texts.positions.tolist(), texts.read(), strict=True)
    )
