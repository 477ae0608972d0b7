"""The Large Movie Review Dataset: download, checksum, reading and splitting.

Source: Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis".
"""

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.examples import count_held_out, split_randomly
from training.errors import DataError

ARCHIVE = "aclImdb_v1.tar.gz"
ARCHIVE_URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
ARCHIVE_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"

NAME = "Large Movie Review Dataset v1.0"
SHA256 = "3ca38b65ac4b83e49f3067b034a7367601f82fdcf2fa4e43c3ea8d9ac44f544f"  # of its reviews, as `Imdb` has it

_LABEL_OF_FOLDER = {"neg": 0, "pos": 1}
_UNLABELLED = "unsup"
_FOLDERS = [*((split, folder) for split in ("train", "test") for folder in _LABEL_OF_FOLDER), ("train", _UNLABELLED)]


@dataclass(frozen=True, order=True)
class Review:
    """One labelled review; `number` and `stars` (1 to 10) come from its file name, label 1 is positive."""

    label: int
    number: int
    stars: int
    text: str


@dataclass(frozen=True)
class Imdb:
    """The labelled reviews by label and number, the unlabelled reviews by number, and the SHA-256 of all reviews.

    `name` is that of the published dataset only if the reviews are, else that of the file or folder.
    """

    train: tuple[Review, ...]
    test: tuple[Review, ...]
    unlabelled: tuple[str, ...]
    sha256: str
    name: str = field(default=NAME, compare=False)

    @property
    def training_texts(self) -> list[str]:
        """The texts of all reviews but the test reviews, the labelled ones first."""
        return [*(review.text for review in self.train), *self.unlabelled]

    def take_training_texts(self, kept: Iterable[int]) -> list[str]:
        """Return the same, but of the labelled reviews only those with these numbers."""
        return [*(self.train[k].text for k in kept), *self.unlabelled]


def load(source: Path | None) -> Imdb:
    """Read the dataset from its archive or from the folder unpacked from it; by default, download it.

    Raises:
        DataError: it is not available, or its files are not `train|test/pos|neg|unsup/<number>_<stars>.txt`.
    """
    source = source or download()
    if source.is_dir():
        files = _read_folder(source)
    elif source.is_file():
        files = _read_archive(source)
    else:
        raise DataError(
            f"there is no {source}; --data takes {ARCHIVE} or the folder unpacked from it; "
            f"without --data, {ARCHIVE_URL} is downloaded"
        )
    splits: dict[str, list[Review]] = {"train": [], "test": []}
    unlabelled: list[tuple[int, str]] = []
    digests = []
    for path, content in files:
        split, folder, name = path.parts
        number, _, stars = path.stem.partition("_")
        if not (number.isdecimal() and stars.isdecimal()):
            raise DataError(f"{name} in {source} is not named <number>_<stars>.txt, like a review")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} in {source} is not UTF-8 ({error}); get the dataset again") from error
        if folder == _UNLABELLED:
            unlabelled.append((int(number), text))
        else:
            splits[split].append(Review(_LABEL_OF_FOLDER[folder], int(number), int(stars), text))
        digests.append(f"{path} {hashlib.sha256(content).hexdigest()}\n")
    for split, reviews in splits.items():
        if {review.label for review in reviews} != {0, 1}:
            raise DataError(
                f"{source} has no reviews in {split}/pos or in {split}/neg; "
                f"--data takes {ARCHIVE} or the folder unpacked from it"
            )
    digest = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
    texts = tuple(text for _, text in sorted(unlabelled))
    name = NAME if digest == SHA256 else source.resolve().name
    return Imdb(tuple(sorted(splits["train"])), tuple(sorted(splits["test"])), texts, digest, name)


def download(url: str = ARCHIVE_URL, sha256: str = ARCHIVE_SHA256) -> Path:
    """Return the archive in the user's cache, downloaded and checked the first time.

    Raises:
        DataError: it cannot be downloaded, or is not the expected archive.
    """
    import keras  # seconds, which reading the user's own texts does not need

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm-serve"
    try:
        cache.mkdir(parents=True, exist_ok=True)  # if it is missing, get_file silently uses /tmp
        return Path(keras.utils.get_file(ARCHIVE, url, file_hash=sha256, cache_dir=cache, cache_subdir=""))
    except Exception as error:  # get_file raises Exception itself
        raise DataError(
            f"{url} cannot be downloaded to {cache} ({error}); "
            f"get it on a machine with network access and pass it as --data {ARCHIVE}"
        ) from error


def hold_out(
    reviews: tuple[Review, ...], share: float, way: Literal["random", "last"], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the training reviews and of the held-out reviews, both in random order.

    With `last` the highest file numbers of either label are held out. Reviews of one film have neighbouring numbers, so
    almost no film is on both sides.

    Raises:
        RecipeError: nothing is left to train on.
    """
    if way == "random":
        return split_randomly(len(reviews), share, seed)
    order, _ = split_randomly(len(reviews), 0, seed)
    held_out = np.zeros(len(reviews), bool)
    for label in set(_LABEL_OF_FOLDER.values()):
        members = [index for index, review in enumerate(reviews) if review.label == label]
        members.sort(key=lambda index: reviews[index].number)
        held_out[members[len(members) - count_held_out(len(members), share) :]] = True
    return order[~held_out[order]], order[held_out[order]]


def _read_folder(folder: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    for place in _FOLDERS:
        for path in folder.joinpath(*place).glob("*.txt"):
            yield PurePosixPath(*place, path.name), path.read_bytes()


def _read_archive(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                path = PurePosixPath(*PurePosixPath(member.name).parts[-3:])
                if member.isfile() and path.parts[:2] in _FOLDERS and path.suffix == ".txt":
                    file = members.extractfile(member)
                    assert file is not None  # because it is a file
                    yield path, file.read()
            # Read on to the checksum of gzip, which is after the end of the archive, so that it is verified.
            while members.fileobj and members.fileobj.read(1024 * 1024):
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{archive} cannot be read as a tar.gz archive ({error}). If it is {ARCHIVE}, get it again; for your own "
            "texts, such as a CSV file, use the recipe reviews: train reviews --data FILE"
        ) from error
