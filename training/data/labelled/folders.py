"""Folders of texts: one subfolder a label, and the layout of the Large Movie Review Dataset."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bundle.files import hash_file
from tables.encodings import explain, find_encoding
from tables.inputs import FileInput
from tables.table import BadRow
from training.data import imdb
from training.data.labelled.source import Columns, Row, Source
from training.data.labelled.tabular import clear_errors
from training.errors import DataError

UNLABELLED = ("unsup", "unlabelled", "unlabeled")  # folders of texts without a label


class Folder(Source):
    """The texts of a folder that has one subfolder of .txt files for each label.

    A position is the number of a file, in the order of the labels and of the names.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        """List the files.

        Raises:
            DataError: there are none.
        """
        super().__init__(path, "folder with one subfolder for each label", Columns(), encoding)
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
        self._files: list[tuple[str, str]] = [  # names, because so many paths would need much memory
            (folder.name, name)
            for folder in folders
            for name in sorted(file.name for file in folder.iterdir() if file.suffix == ".txt" and file.is_file())
        ]
        filled = {folder for folder, _ in self._files}
        self._empty = [folder.name for folder in folders if folder.name not in filled]
        if not self._files:
            raise DataError(
                f"{path} has no subfolders with .txt files; one subfolder for each label was expected. For "
                "subfolders train and test with such subfolders, name them apart: .../train, and .../test as --test"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """The subfolders without texts: see `Source.notes`."""
        return tuple(f"the subfolder {name!r} has no .txt files, so it is no label" for name in self._empty)

    def locate(self, position: int) -> str:
        """Return the path of a file."""
        return str(self.path.joinpath(*self._files[position - 1]))

    def hash(self) -> str:
        """Return the SHA-256 over the names and the SHA-256 of all files."""
        lines = (f"{folder}/{name} {hash_file(self.path / folder / name)}\n" for folder, name in self._files)
        digest = hashlib.sha256()
        for line in lines:
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def count_bytes(self) -> int:
        """Return the size of all files."""
        return sum(self.path.joinpath(*names).stat().st_size for names in self._files)

    def read(self) -> Iterator[Row | BadRow]:
        """Yield the texts: see `Source.read`."""
        for position, (folder, name) in enumerate(self._files, 1):
            path = self.path / folder / name
            with clear_errors():
                encoding = find_encoding(FileInput(path), self.encoding)
                with FileInput(path).open() as file:
                    contents = file.read()
            try:
                text = contents.decode(encoding).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                yield BadRow(position, explain(error, encoding))
            else:
                yield Row(position, text, None if folder in UNLABELLED else folder)


class ImdbTexts(Source):
    """One part of a dataset in the layout of the Large Movie Review Dataset: see `imdb.load`."""

    unit = "review"

    def __init__(self, path: Path, data: imdb.Imdb, part: str = "train") -> None:
        """Take the texts of the part; the training part has the unlabelled texts too."""
        super().__init__(path, "layout of the Large Movie Review Dataset", Columns(), None)
        self._data = data
        self._part = part

    @property
    def name(self) -> str:
        """The name of the data."""
        return self._data.name

    @property
    def test(self) -> Source | None:
        """The test texts."""
        return ImdbTexts(self.path, self._data, "test") if self._part == "train" else None

    def hash(self) -> str:
        """Return the SHA-256 of all reviews: see `Imdb`."""
        return self._data.sha256

    def count_bytes(self) -> int:
        """Return the size of all texts."""
        return sum(len(row.text.encode()) for row in self.read())

    def locate(self, position: int) -> str:
        """Return where a text is, for messages."""
        return f"{self.path}, {self._part}, {self.unit} {position}"

    def read(self) -> Iterator[Row]:
        """Yield the texts: see `Source.read`. Positions are in the order of `Imdb`."""
        reviews = self._data.train if self._part == "train" else self._data.test
        for position, review in enumerate(reviews, 1):
            yield Row(position, review.text, ("negative", "positive")[review.label])
        if self._part == "train":
            for position, text in enumerate(self._data.unlabelled, len(reviews) + 1):
                yield Row(position, text)
