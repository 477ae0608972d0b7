"""The review tokenisers: text to the padded word ids of a sentiment network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bundle.codec import Preprocessing
from bundle.errors import IdsError, ManifestError, explain
from bundle.files import read_file
from bundle.imported_tokenisers import AnyTokeniser
from bundle.rows import Row
from bundle.sizes import MOST_VOCABULARY_BYTES
from bundle.splitting import ENDING
from bundle.tokenisers import Tokeniser

# Kinds of ids: known words; marks, stars, emoji, mentions, addresses and reserved ids; unknown words and endings.
# A text has a verdict if it has a word.
_WORD, _MARK, _UNKNOWN = range(3)

Side = Literal["left", "right"]

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
    def word_ids(self) -> range:
        """The ids of the words, in the order of the vocabulary."""
        return range(self.rank_offset + 1, self.vocabulary_size)

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


class WordCoding(Preprocessing):
    """The `preprocessing` section of a sentiment manifest whose network was trained elsewhere, with any integer coding.

    The id of the word on line n of the vocabulary, from 1, is n + `rank_offset`. A row is the start id, if there is
    one, and the ids of the words. It is cut, then padded.
    """

    kind: Literal["coding"] = "coding"
    tokeniser: AnyTokeniser
    vocabulary_file: Literal["vocabulary.txt"] = "vocabulary.txt"
    words: int = Field(ge=1, description="Number of words in the vocabulary.")
    length: int = Field(ge=1, le=10_000, description="Time steps of the network, in ids.")
    padding_id: int = Field(ge=0)
    start_id: int | None = Field(ge=0, description="The first id of a row; null if rows begin with a word.")
    unknown_id: int | None = Field(ge=0, description="The id of other words; null if they are left out.")
    rank_offset: int = Field(ge=-1)
    padding_side: Side
    truncation_side: Side

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        reserved = {"padding_id": self.padding_id, "start_id": self.start_id, "unknown_id": self.unknown_id}
        for name, number in reserved.items():
            if number is not None and number in self.word_ids:
                raise ValueError(f"{name} is {number}, which is the id of word {number - self.rank_offset}")
        if self.start_id is not None and self.start_id in (self.padding_id, self.unknown_id):
            raise ValueError(f"start_id is {self.start_id}, which is also the id of padding or of unknown words")
        return self

    @property
    def word_ids(self) -> range:
        """The ids of the words, in the order of the vocabulary."""
        return range(self.rank_offset + 1, self.rank_offset + 1 + self.words)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids: the largest one plus 1."""
        reserved = (number for number in (self.padding_id, self.start_id, self.unknown_id) if number is not None)
        return max(self.word_ids.stop, *(number + 1 for number in reserved))

    @property
    def pads_right(self) -> bool:
        """Whether padding follows a row: see `Preprocessing`."""
        return self.padding_side == "right"

    @property
    def files(self) -> frozenset[str]:
        """The file of the vocabulary."""
        return frozenset({self.vocabulary_file})

    def open_codec(self, folder: Path) -> "ReviewCodec":
        """Return the codec with the vocabulary in a folder: see `ReviewPreprocessing.open_codec`."""
        return ReviewCodec(self, read_vocabulary(folder / self.vocabulary_file))


WordSection = ReviewPreprocessing | WordCoding


@dataclass(frozen=True)
class EncodedReview:
    """One review as the network reads it.

    Attributes:
        ids: of its words, int32 [at most `length`].
        words_used: words and marks that are read.
        words_cut: words and marks before them, or after them.
        words_unknown: words of those used that the vocabulary lacks; of some it has the ending. They may be left out.
        is_readable: whether any of those used is a known word; marks, stars, emoji, mentions and addresses are none.
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


class ReadWord(NamedTuple):
    """A word that the network reads, and its place: `text[start:end]`. An unknown word that is left out has no id."""

    start: int
    end: int
    id_: int | None
    is_known: bool


class ReviewCodec:
    """Codes reviews with one vocabulary."""

    def __init__(self, preprocessing: WordSection, vocabulary: Sequence[str]) -> None:
        """Take the words in the order of their ids.

        Raises:
            ManifestError: the vocabulary has a repeated word, or its number of words does not fit `preprocessing`.
        """
        self.preprocessing = preprocessing
        self.vocabulary = tuple(vocabulary)
        word_ids = preprocessing.word_ids
        ids = dict(zip(self.vocabulary, word_ids, strict=False))
        expected = len(word_ids)
        if len(self.vocabulary) != expected or len(ids) != expected:
            raise ManifestError(
                f"the vocabulary has {len(self.vocabulary)} words, {len({*self.vocabulary})} of them distinct; "
                f"vocabulary_size {preprocessing.vocabulary_size} needs "
                f"{expected} distinct words: train the bundle again"
            )
        self._ids = _Ids(ids, preprocessing)
        tokeniser = preprocessing.tokeniser
        is_ending = [tokeniser.keeps_case and word.startswith(ENDING) for word in self.vocabulary]
        kinds = np.where(is_ending, _UNKNOWN, np.where([*map(tokeniser.is_word, self.vocabulary)], _WORD, _MARK))
        self._kinds = np.full(preprocessing.vocabulary_size, _MARK, np.uint8)
        self._kinds[word_ids.start : word_ids.stop] = kinds
        if preprocessing.unknown_id is not None:
            self._kinds[preprocessing.unknown_id] = _UNKNOWN

    @property
    def length(self) -> int:
        """Time steps of the network, in ids."""
        return self.preprocessing.length

    @property
    def padding(self) -> np.int32:
        """The value of a padding step."""
        return np.int32(self.preprocessing.padding_id)

    def encode(self, text: str) -> EncodedReview:
        """Return the ids of a review: the start id and the words, cut to `length` ids on the left or on the right."""
        constants = self.preprocessing
        words = constants.tokeniser.split(text)
        used = words[self._choose(words)]
        known = used if constants.unknown_id is not None else [word for word in used if word in self._ids]
        ids = [*map(self._ids.__getitem__, known)]
        if constants.start_id is not None and len(ids) < constants.length:
            ids.insert(0, constants.start_id)
        return self._describe(np.array(ids, np.int32), len(used), len(words) - len(used), len(used) - len(known))

    def _choose(self, words: Sequence[str]) -> slice:
        """Return which words of a text are read, unknown ones between them included."""
        constants = self.preprocessing
        is_cut_left = constants.truncation_side == "left"
        # A start id is kept if the end of a text is cut.
        most = self.length - (not is_cut_left and constants.start_id is not None)
        if len(words) <= most:
            return slice(None)
        if constants.unknown_id is not None:
            return slice(-most, None) if is_cut_left else slice(most)
        places = [place for place, word in enumerate(words) if word in self._ids]
        if len(places) <= most:
            return slice(None)
        return slice(places[-most], None) if is_cut_left else slice(places[most])

    def find_words(self, text: str) -> list[ReadWord]:
        """Return the words of a review that the network reads: see `Trace.find`."""
        tokens = self.preprocessing.tokeniser.split_with_places(text)
        used = tokens[self._choose([token.word for token in tokens])]
        leaves_out = self.preprocessing.unknown_id is None
        ids = [None if leaves_out and token.word not in self._ids else self._ids[token.word] for token in used]
        return [
            ReadWord(token.start, token.end, id_, id_ is not None and self._kinds[id_] != _UNKNOWN)
            for token, id_ in zip(used, ids, strict=True)
        ]

    def make_row_of(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the row of a review with these ids of words, int32 [at most `length`], as `encode` does."""
        start = self.preprocessing.start_id
        if start is None or len(ids) == self.length:
            return ids
        return np.concatenate([np.array([start], np.int32), ids])

    def read(self, ids: NDArray[np.integer[Any]]) -> EncodedReview:
        """Return a review that a client has encoded: ids [steps], padded on the left or on the right, or not.

        Raises:
            IdsError: an id is not of this vocabulary, padding stands between ids, or there are too many or no ids.
        """
        constants = self.preprocessing
        places = np.flatnonzero(ids != constants.padding_id)
        if not places.size:
            least = "one other id" if constants.start_id is None else f"the id {constants.start_id}"
            raise IdsError(f"all ids are padding ({constants.padding_id}); send at least {least}")
        row = ids[places[0] : places[-1] + 1]
        wrong = np.flatnonzero((row < 0) | (row >= constants.vocabulary_size))
        if wrong.size:
            raise IdsError(
                f"{row[wrong[0]]} at position {places[0] + wrong[0]} (the first is 0) is not an id of this model; "
                f"send ids from 0 to {constants.vocabulary_size - 1}"
            )
        if places.size < row.size and constants.unknown_id != constants.padding_id:
            between = places[0] + np.flatnonzero(row == constants.padding_id)[0]
            raise IdsError(
                f"padding ({constants.padding_id}) at position {between} (the first is 0) stands between ids; "
                "pad on the left or on the right only"
            )
        if row.size > constants.length:
            raise IdsError(
                f"the row has {row.size} ids, this model reads at most {constants.length}; "
                f"send the {'last' if constants.truncation_side == 'left' else 'first'} {constants.length}"
            )
        return self._describe(row.astype(np.int32), row.size - int(row[0] == constants.start_id), 0)

    def _describe(self, row: NDArray[np.int32], words_used: int, words_cut: int, left_out: int = 0) -> EncodedReview:
        kinds = self._kinds[row].tobytes()
        return EncodedReview(
            ids=row,
            words_used=words_used,
            words_cut=words_cut,
            words_unknown=kinds.count(_UNKNOWN) + left_out,
            is_readable=_WORD in kinds,
        )

    def find_id(self, word: str) -> int:
        """Return the id that a word is read as: its own, or that of another form, of its ending or of unknown words.

        Raises:
            KeyError: unknown words are left out, and it is one.
        """
        return self._ids[word]

    def make_longest_row(self) -> NDArray[np.int32]:
        """Return a row of the full length, int32 [length]."""
        # From the end of the vocabulary: this row then finds a table that lacks vectors for the last words.
        ids = self.preprocessing.word_ids
        return np.array([ids[-1 - number % len(ids)] for number in range(self.length)], np.int32)

    def make_row(self, steps: int, random: np.random.Generator) -> NDArray[np.int32]:
        """Return random ids as a row, int32 [steps]; there may be 0 steps. No id is that of padding."""
        ids = random.integers(0, self.preprocessing.vocabulary_size - 1, steps, np.int32)
        return ids + (ids >= self.preprocessing.padding_id)

    def pad(self, reviews: Sequence[Row]) -> NDArray[np.int32]:
        """Pad reviews to the network's input, int32 [reviews, length]."""
        constants = self.preprocessing
        if constants.padding_side == "left":
            return pad_left(reviews, constants.length, constants.padding_id)
        padded = np.full((len(reviews), constants.length), constants.padding_id, np.int32)
        for row, ids in zip(padded, reviews, strict=True):
            row[: len(ids)] = ids
        return padded


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

    def __init__(self, ids: dict[str, int], preprocessing: WordSection) -> None:
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
        if self._unknown_id is None:
            raise KeyError(word)
        return self._unknown_id
