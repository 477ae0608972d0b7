"""The review tokenisers: text to the padded word ids of a sentiment network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bundle.codec import Preprocessing
from bundle.errors import ManifestError
from bundle.rows import Row

# The characters that keras.preprocessing.text replaced by spaces; the apostrophe is not among them.
KERAS_FILTERS: Literal['!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'] = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'

# A tag with any name: `<br />`, `</i>`. "a < b" and "<3" are not tags, because no letter follows the bracket. "a<b"
# begins a tag that ends at the next ">", if that comes before the next "<".
MARKUP: Literal["</?[a-z][^<>]*>"] = "</?[a-z][^<>]*>"
MARKUP_OF_ANY_CASE: Literal["</?[a-zA-Z][^<>]*>"] = "</?[a-zA-Z][^<>]*>"

# In this order: ratings ("7/10"), words with inner apostrophes ("don't"), "!" and "?" one by one, an
# ellipsis of any length, and the smileys :) :( ;) with or without a nose.
WORDS: Literal[r"\d+/\d+|[^\W_]+(?:'[^\W_]+)*|[!?]|\.\.+|[:;]-?[()]"] = (
    r"\d+/\d+|[^\W_]+(?:'[^\W_]+)*|[!?]|\.\.+|[:;]-?[()]"
)


# The same, plus ratings such as "3.5/10", the possessive "'s" apart from its word, stars, and the punctuation between
# sentences and asides.
TOKENS: Literal[r"\d+(?:\.\d+)?/\d+|[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b|[!?]|\.\.+|[:;]-?[()]|\*+|[.,:;()\"]"] = (
    r"\d+(?:\.\d+)?/\d+|[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b|[!?]|\.\.+|[:;]-?[()]|\*+|[.,:;()\"]"
)


class KerasTokeniser(BaseModel):
    """The word splitting behind `keras.datasets.imdb`: lower case, filter characters to spaces, split at spaces.

    Markup is not removed, because that coding did not: `<br />` leaves the word `br`, its seventh most frequent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["keras"] = "keras"
    lower_case: Literal[True] = True
    filters: Literal['!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'] = KERAS_FILTERS
    markup: Literal["kept"] = "kept"

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order."""
        # Bytes are translated ten times as fast as text; all filter characters are ASCII, one byte in UTF-8.
        spaced = text.lower().encode("utf-8", "surrogatepass").translate(_FILTERS_TO_SPACES)
        # Split only at spaces: other white space ("\r") stays inside words, as in the Keras coding.
        return list(filter(None, spaced.decode("utf-8", "surrogatepass").split(" ")))


class WordTokeniser(BaseModel):
    """The project's own word splitting: it keeps marks that carry sentiment, which the Keras coding drops.

    Lower case; markup becomes a space; the typographic apostrophe becomes the straight one; ratings, "!", "?",
    ellipses and smileys are tokens of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["words"] = "words"
    lower_case: Literal[True] = True
    apostrophe: Literal["\N{RIGHT SINGLE QUOTATION MARK}"] = "\N{RIGHT SINGLE QUOTATION MARK}"
    pattern: Literal[r"\d+/\d+|[^\W_]+(?:'[^\W_]+)*|[!?]|\.\.+|[:;]-?[()]"] = WORDS
    markup: Literal["</?[a-z][^<>]*>"] = MARKUP

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        straight = text.lower().replace(self.apostrophe, "'")
        words = _WORDS_OF_ASCII if straight.isascii() else _WORDS
        return words.findall(_MARKUP.sub(" ", straight))


class TokenTokeniser(BaseModel):
    """The splitting for language models: words in their original case, and every mark between them.

    Markup becomes a space; the typographic apostrophe becomes the straight one. A word in capitals stays so, as it is
    emphasised; but a text that is all in capitals becomes lower case. A vocabulary has words in lower case, and words
    in capitals that are frequent in that form. Unknown words fall back to lower case, then to their longest known
    ending.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tokens"] = "tokens"
    apostrophe: Literal["\N{RIGHT SINGLE QUOTATION MARK}"] = "\N{RIGHT SINGLE QUOTATION MARK}"
    pattern: Literal[r"\d+(?:\.\d+)?/\d+|[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b|[!?]|\.\.+|[:;]-?[()]|\*+|[.,:;()\"]"] = (
        TOKENS
    )
    markup: Literal["</?[a-zA-Z][^<>]*>"] = MARKUP_OF_ANY_CASE
    longest_ending: Literal[4] = 4

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        plain = _MARKUP_OF_ANY_CASE.sub(" ", text).replace(self.apostrophe, "'")
        tokens = _TOKENS_OF_ASCII if plain.isascii() else _TOKENS
        return tokens.findall(plain.lower() if plain.isupper() else plain)

    def fold(self, token: str) -> str:
        """Return the form of a word in vocabularies: in capitals if the word is in capitals, else in lower case."""
        return token if len(token) > 1 and token.isupper() else token.lower()

    def endings(self, token: str) -> list[str]:
        """Return the endings under which a vocabulary may have an unknown word, longest first: `~ness` of `oddness`."""
        lower = token.lower()
        return [f"~{lower[-length:]}" for length in range(min(self.longest_ending, len(lower)), 0, -1)]


_FILTERS_TO_SPACES = bytes.maketrans(KERAS_FILTERS.encode(), b" " * len(KERAS_FILTERS))
_MARKUP = re.compile(MARKUP)
_WORDS = re.compile(WORDS)
# Finds the same words in lower-case ASCII, in 60 % of the time: a token that begins with a letter is never tried as a
# rating, character classes are plain ranges, and there is no backtracking.
_WORDS_OF_ASCII = re.compile(
    r"[a-z][a-z0-9]*+(?:'[a-z0-9]++)*+|[0-9]++/[0-9]++|[0-9][a-z0-9]*+(?:'[a-z0-9]++)*+|[!?]|\.\.++|[:;]-?[()]",
    re.ASCII,
)

_MARKUP_OF_ANY_CASE = re.compile(MARKUP_OF_ANY_CASE)
_TOKENS = re.compile(TOKENS)
# The same for tokens, in 70 % of the time. Frequent alternatives come first if the order does not change the result.
_TOKENS_OF_ASCII = re.compile(
    r"[a-zA-Z][a-zA-Z0-9]*+(?:'(?!s\b)[a-zA-Z0-9]++)*+|[,()\"!?]|\.\.++|[:;]-?[()]|[.:;]|'s\b"
    r"|[0-9]++(?:\.[0-9]++)?/[0-9]++|[0-9][a-zA-Z0-9]*+(?:'(?!s\b)[a-zA-Z0-9]++)*+|\*++",
    re.ASCII,
)

RESERVED_IDS = 4  # padding, start, unknown word, and one that the Keras coding does not use

Tokeniser = KerasTokeniser | WordTokeniser | TokenTokeniser


class ReviewPreprocessing(Preprocessing):
    """The `preprocessing` section of a sentiment manifest: the Keras integer coding with its constants.

    Words are ranked by frequency from 1, and the id of a word is its rank + 3. Id 0 is padding, 1 the start of a
    review, 2 a word outside the vocabulary; 3 is not used. Source: `keras.datasets.imdb`.
    """

    kind: Literal["reviews"] = "reviews"
    tokeniser: Annotated[Tokeniser, Field(discriminator="kind")]
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
        """
        return ReviewCodec(self, read_vocabulary(folder / self.vocabulary_file))


@dataclass(frozen=True)
class EncodedReview:
    """The ids of one review, int32 [at most `length`], with the numbers of words used and cut."""

    ids: NDArray[np.int32]
    words_used: int
    words_cut: int


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
        kind = _FoldedIds if isinstance(preprocessing.tokeniser, TokenTokeniser) else _Ids
        self._ids = kind(ids, preprocessing)

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
        return EncodedReview(np.array(ids, np.int32), len(used), len(words) - len(used))

    def make_longest_row(self) -> NDArray[np.int32]:
        """Return a row of the full length, int32 [length]."""
        # From the end of the vocabulary: this row then finds a table that lacks vectors for the last words.
        count = len(self.vocabulary)
        return self.encode(" ".join(self.vocabulary[-1 - number % count] for number in range(self.length))).ids

    def pad(self, reviews: Sequence[Row]) -> NDArray[np.int32]:
        """Pad reviews on the left to the network's input, int32 [reviews, length]."""
        return pad_left(reviews, self.length, self.preprocessing.padding_id)


def read_vocabulary(path: Path) -> list[str]:
    """Return the words of a vocabulary file: UTF-8, one a line, rank 1 first.

    Raises:
        ManifestError: it is not UTF-8.
    """
    # Not splitlines: a word may contain one of Unicode's other line ends.
    try:
        return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 ({error}); train the bundle again") from error


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
    """The ids of words. A word without an id gets the id of unknown words, and is not stored."""

    def __init__(self, ids: dict[str, int], preprocessing: ReviewPreprocessing) -> None:
        super().__init__(ids)
        self._unknown_id = preprocessing.unknown_id

    def __missing__(self, word: str) -> int:
        return self._unknown_id


class _FoldedIds(_Ids):
    """The ids of words in any case: of the word itself, else of its lower case, else of its longest known ending."""

    def __init__(self, ids: dict[str, int], preprocessing: ReviewPreprocessing) -> None:
        # Capitalised words begin every sentence, so they have entries of their own.
        begun = {word.capitalize(): id_ for word, id_ in ids.items() if word == word.lower()}
        super().__init__(begun | ids, preprocessing)
        assert isinstance(preprocessing.tokeniser, TokenTokeniser)
        self._tokeniser = preprocessing.tokeniser

    def __missing__(self, word: str) -> int:
        lower = word.lower()
        if lower in self:
            return self[lower]
        for ending in self._tokeniser.endings(lower):
            if ending in self:
                return self[ending]
        return self._unknown_id
