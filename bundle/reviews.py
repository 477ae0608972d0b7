"""The review tokenisers: text to the padded word ids of a sentiment network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bundle.codec import Preprocessing
from bundle.errors import IdsError, ManifestError, explain
from bundle.files import read_file
from bundle.rows import Row
from bundle.sizes import MOST_VOCABULARY_BYTES
from bundle.tokenisers import CLASSES, ENDING, Tokeniser

RESERVED_IDS = 4  # padding, start, unknown word, and one that the Keras coding does not use


class ReviewPreprocessing(Preprocessing):
    """The `preprocessing` section of a sentiment manifest: the Keras integer coding with its constants.

    Words are ranked by frequency from 1, and the id of a word is its rank + 3. Id 0 is padding, 1 the start of a
    review, 2 a word outside the vocabulary; 3 is not used. Source: `keras.datasets.imdb`.
    """

    kind: Literal["reviews"] = "reviews"
    tokeniser: Tokeniser
    vocabulary_file: Literal["vocabulary.txt"] = "vocabulary.txt"
    vocabulary_size: int = Field(ge=5, description="Number of ids, including the four reserved ids.")
    length: int = Field(ge=1, le=10_000, description="Time steps of the network, in ids.")
    padding_id: Literal[0] = 0
    start_id: Literal[1] = 1
    unknown_id: Literal[2] = 2
    rank_offset: Literal[3] = 3
    padding_side: Literal["left"] = "left"
    truncation_side: Literal["left"] = "left"

    @property
    def files(self) -> frozenset[str]:
        """The file of the vocabulary."""
        return frozenset({self.vocabulary_file})

    def open_codec(self, folder: Path) -> "ReviewCodec":
        """Return the codec with the vocabulary in a folder.

        Raises:
            ManifestError: the vocabulary is not UTF-8, or does not fit this section.
            SizeError: the vocabulary is too large.
        """
        return ReviewCodec(self, read_vocabulary(folder / self.vocabulary_file))


@dataclass(frozen=True)
class EncodedReview:
    """One review as the network reads it.

    Attributes:
        ids: of its words, int32 [at most `length`].
        words_used: words and marks that are read.
        words_cut: words and marks before them.
        words_unknown: words of those used that the vocabulary lacks; of some it has the ending.
        is_readable: whether any of those used is a known word, not only a mark.
    """

    ids: NDArray[np.int32]
    words_used: int
    words_cut: int
    words_unknown: int
    is_readable: bool

    @property
    def words(self) -> int:
        """Words and marks of the whole text."""
        return self.words_used + self.words_cut

    @property
    def unknown_share(self) -> float | None:
        """The share of unknown words among those used; None for a text without words."""
        return self.words_unknown / self.words_used if self.words_used else None


class ReviewCodec:
    """Codes reviews with one vocabulary."""

    def __init__(self, preprocessing: ReviewPreprocessing, vocabulary: Sequence[str]) -> None:
        """Take the words by falling frequency, rank 1 first.

        Raises:
            ManifestError: the vocabulary has a repeated word, or its number of words does not fit `preprocessing`.
        """
        self.preprocessing = preprocessing
        self.vocabulary = tuple(vocabulary)
        ids = {word: rank + preprocessing.rank_offset for rank, word in enumerate(self.vocabulary, 1)}
        expected = preprocessing.vocabulary_size - RESERVED_IDS
        if len(self.vocabulary) != expected or len(ids) != expected:
            raise ManifestError(
                f"the vocabulary has {len(self.vocabulary)} words, {len(ids)} of them distinct; "
                f"vocabulary_size {preprocessing.vocabulary_size} needs "
                f"{expected} distinct words: train the bundle again"
            )
        self._ids = _Ids(ids, preprocessing)
        is_ending = [word.startswith(ENDING) for word in self.vocabulary]
        is_word = [any(map(str.isalnum, word)) and word not in CLASSES for word in self.vocabulary]
        reserved = np.arange(RESERVED_IDS)
        self._is_unknown = np.concatenate([reserved == preprocessing.unknown_id, is_ending])
        self._is_word = np.concatenate([reserved < 0, is_word]) & ~self._is_unknown

    @property
    def length(self) -> int:
        """Time steps of the network, in ids."""
        return self.preprocessing.length

    @property
    def padding(self) -> np.int32:
        """The value of a padding step."""
        return np.int32(self.preprocessing.padding_id)

    def encode(self, text: str) -> EncodedReview:
        """Return the ids of a review: the start id and the words, cut on the left to `length` ids."""
        constants = self.preprocessing
        words = constants.tokeniser.split(text)
        used = words[-constants.length :]
        ids: list[int] = [constants.start_id] if len(words) < constants.length else []
        ids.extend(map(self._ids.__getitem__, used))
        return self._describe(np.array(ids, np.int32), len(used), len(words) - len(used))

    def read(self, ids: NDArray[np.integer[Any]]) -> EncodedReview:
        """Return a review that a client has encoded: ids [steps], padded on the left or on the right, or not.

        Raises:
            IdsError: an id is not of this vocabulary, padding stands between ids, or there are too many or no ids.
        """
        constants = self.preprocessing
        places = np.flatnonzero(ids != constants.padding_id)
        if not places.size:
            raise IdsError(f"all ids are padding ({constants.padding_id}); send at least the id {constants.start_id}")
        row = ids[places[0] : places[-1] + 1]
        wrong = np.flatnonzero((row < 0) | (row >= constants.vocabulary_size))
        if wrong.size:
            raise IdsError(
                f"{row[wrong[0]]} at position {places[0] + wrong[0]} (the first is 0) is not an id of this model; "
                f"send ids from 0 to {constants.vocabulary_size - 1}"
            )
        if places.size < row.size:
            between = places[0] + np.flatnonzero(row == constants.padding_id)[0]
            raise IdsError(
                f"padding ({constants.padding_id}) at position {between} (the first is 0) stands between ids; "
                "pad on the left or on the right only"
            )
        if row.size > constants.length:
            raise IdsError(
                f"the row has {row.size} ids, this model reads at most {constants.length}; "
                f"send the last {constants.length}"
            )
        return self._describe(row.astype(np.int32), row.size - int(row[0] == constants.start_id), 0)

    def _describe(self, row: NDArray[np.int32], words_used: int, words_cut: int) -> EncodedReview:
        return EncodedReview(
            ids=row,
            words_used=words_used,
            words_cut=words_cut,
            words_unknown=int(np.count_nonzero(self._is_unknown[row])),
            is_readable=bool(self._is_word[row].any()),
        )

    def find_id(self, word: str) -> int:
        """Return the id that a word is read as: its own, or that of another form, of its ending or of unknown words."""
        return self._ids[word]

    def make_longest_row(self) -> NDArray[np.int32]:
        """Return a row of the full length, int32 [length]."""
        # From the end of the vocabulary: this row then finds a table that lacks vectors for the last words.
        count = len(self.vocabulary)
        return self.encode(" ".join(self.vocabulary[-1 - number % count] for number in range(self.length))).ids

    def make_row(self, steps: int, random: np.random.Generator) -> NDArray[np.int32]:
        """Return random ids as a row, int32 [steps]; there may be 0 steps."""
        return random.integers(1, self.preprocessing.vocabulary_size, steps, np.int32)

    def pad(self, reviews: Sequence[Row]) -> NDArray[np.int32]:
        """Pad reviews on the left to the network's input, int32 [reviews, length]."""
        return pad_left(reviews, self.length, self.preprocessing.padding_id)


def read_vocabulary(path: Path) -> list[str]:
    """Return the words of a vocabulary file: UTF-8, one a line, rank 1 first.

    Raises:
        ManifestError: it is not UTF-8.
        SizeError: it is too large.
    """
    # Not splitlines: a word may contain one of Unicode's other line ends.
    try:
        return read_file(path, MOST_VOCABULARY_BYTES).decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} cannot be read ({explain(error)}); train the bundle again") from error


def write_vocabulary(path: Path, words: Sequence[str]) -> None:
    """Write a vocabulary file."""
    path.write_bytes("".join(f"{word}\n" for word in words).encode("utf-8"))


def pad_left(reviews: Sequence[Row], length: int, padding_id: int) -> NDArray[np.int32]:
    """Return the last ids of reviews, padded on the left, int32 [reviews, length]."""
    padded = np.full((len(reviews), length), padding_id, np.int32)
    for row, ids in zip(padded, reviews, strict=True):
        last = ids[-length:]
        row[length - len(last) :] = last
    return padded


class _Ids(dict[str, int]):
    """The ids of words. A word that the vocabulary lacks falls back to other forms, and is not stored."""

    def __init__(self, ids: dict[str, int], preprocessing: ReviewPreprocessing) -> None:
        self._tokeniser = preprocessing.tokeniser
        self._unknown_id = preprocessing.unknown_id
        if self._tokeniser.keeps_case:
            # Capitalised words begin every sentence, so they have entries of their own.
            ids = {word.capitalize(): id_ for word, id_ in ids.items() if word == word.lower()} | ids
        super().__init__(ids)

    def __missing__(self, word: str) -> int:
        for forms in (self._tokeniser.find_forms(word), self._tokeniser.find_endings(word)):
            for form in forms:
                if form in self:
                    return self[form]
        return self._unknown_id
