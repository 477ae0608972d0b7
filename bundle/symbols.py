"""The symbol codec: text of any alphabet to the padded ids of a next-letter network.

The codec of the published next-letter bundles, which read A to Z as normalised numbers, is in `letters.py`.
"""

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bundle.codec import Preprocessing
from bundle.errors import LetterError
from bundle.reviews import pad_left
from bundle.rows import Row

# Ids then fit in a byte, and an answer can list the probability of every character.
MOST_SYMBOLS = 200

_SHOWN_SYMBOLS = 40  # of an alphabet, in a message


class SymbolCodec(Preprocessing):
    """Codes characters by their places in an alphabet; this is the `preprocessing` section of a next-letter manifest.

    A text is first normalised to Unicode's form NFC; a character is then one code point. So `e` with a combining accent
    is the one character `é`. A combining mark without a composed form stays a character of its own, which the alphabet
    must have.

    Character number k of the alphabet (the first is 0) has the id k + 1; 0 is padding. If case is folded, a character
    that the alphabet lacks is read as the alphabet's character with the same lower-case form. That form is one of the
    single character: `Σ` is read as `σ`, never as the final `ς`, and a letter whose lower-case form has two characters
    keeps its case.
    """

    kind: Literal["symbols"] = "symbols"
    alphabet: str = Field(description="Every character that the network reads and answers with, in order of its ids.")
    fold_case: bool = Field(default=False, description="Whether a letter is read in either case.")
    length: int = Field(ge=1, le=1000, description="Characters that the network reads; shorter sequences are padded.")
    normalisation: Literal["NFC"] = "NFC"
    first_id: Literal[1] = 1
    padding_id: Literal[0] = 0
    padding_side: Literal["left"] = "left"

    @model_validator(mode="after")
    def _alphabet_is_valid(self) -> Self:
        check_alphabet(self.alphabet, self.fold_case)
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The characters: see `Preprocessing.labels`."""
        return tuple(self.alphabet)

    @property
    def preprocessing(self) -> Self:
        """The section of the manifest, which is this codec itself."""
        return self

    def open_codec(self, folder: Path) -> Self:  # noqa: ARG002
        """Return this codec: see `Preprocessing.open_codec`."""
        return self

    @property
    def padding(self) -> np.int32:
        """The value of a padding step."""
        return np.int32(self.padding_id)

    @cached_property
    def _ids(self) -> "_Ids":
        return _Ids(self)

    def code(self, text: str) -> NDArray[np.int32]:
        """Return the ids of the characters of a text of any length, int32 [characters].

        Raises:
            LetterError: a character is not in the alphabet.
        """
        normalised = unicodedata.normalize("NFC", text)
        try:
            return np.fromiter(map(self._ids.__getitem__, normalised), np.int32, len(normalised))
        except KeyError as error:
            wrong: str = error.args[0]
            position = normalised.index(wrong)
            place = f"position {position} (the first is 0)" + " of the text in form NFC" * (normalised != text)
            same = self._find_other_case(wrong)
            hint = f"; case counts: it has {same!r}" if same else ""
            raise LetterError(
                f"{describe_character(wrong)} at {place} is not in the alphabet of this model{hint}; "
                f"send characters of {describe_alphabet(self.alphabet)}",
                position=position,
                character=wrong,
            ) from None

    def encode(self, sequence: str) -> NDArray[np.int32]:
        """Return the ids of a sequence, not padded.

        Args:
            sequence: 1 to `length` characters of the alphabet, after normalisation.

        Returns:
            int32 [characters].

        Raises:
            LetterError: the sequence is not such a text; it has the wrong character and its position.
        """
        if not sequence:
            raise LetterError(
                f"the sequence is empty; send 1 to {self.length} characters of {describe_alphabet(self.alphabet)}",
                position=0,
                character="",
            )
        ids = self.code(sequence)
        if len(ids) > self.length:
            extra = self.alphabet[ids[self.length] - self.first_id]
            raise LetterError(
                f"the sequence has {len(ids)} characters, this model reads at most {self.length}; "
                f"{extra!r} at position {self.length} (the first is 0) is one too many: send the last {self.length}",
                position=self.length,
                character=extra,
            )
        return ids

    def make_longest_row(self) -> NDArray[np.int32]:
        """Return a row of the full length, int32 [length]."""
        # From the end of the alphabet: this row then finds a table that lacks vectors for the last characters.
        return np.resize(np.arange(len(self.alphabet), 0, -1, dtype=np.int32), self.length)

    def make_row(self, steps: int, random: np.random.Generator) -> NDArray[np.int32]:
        """Return random characters as a row, int32 [steps]; there may be 0 steps."""
        return random.integers(self.first_id, len(self.alphabet) + self.first_id, steps, np.int32)

    def pad(self, sequences: Sequence[Row]) -> NDArray[np.int32]:
        """Pad coded sequences on the left to the network's input, int32 [sequences, length]."""
        return pad_left(sequences, self.length, self.padding_id)

    def _find_other_case(self, character: str) -> str | None:
        """Return the character of the alphabet that differs only in case, if there is one."""
        wanted = lower(character)
        return next((known for known in self.alphabet if lower(known) == wanted), None)


class _Ids(dict[str, int]):
    """The ids of characters. If case is folded, a character that is not stored falls back to its lower-case form."""

    def __init__(self, codec: SymbolCodec) -> None:
        super().__init__({character: place for place, character in enumerate(codec.alphabet, codec.first_id)})
        self._lower = {lower(character): id_ for character, id_ in self.items()} if codec.fold_case else {}

    def __missing__(self, character: str) -> int:
        id_ = self._lower.get(lower(character))
        if id_ is None:
            raise KeyError(character)
        return id_


def lower(character: str) -> str:
    """Return the lower-case form of a character, or the character itself if that form has several."""
    found = character.lower()
    return found if len(found) == 1 else character


def check_alphabet(alphabet: str, fold_case: bool = False) -> None:
    """Return if a codec can have this alphabet.

    Raises:
        ValueError: it does not have 2 to 200 characters, a character is repeated, also in the other case if case is
            folded, or one cannot stand in a line of normalised text.
    """
    if not 2 <= len(alphabet) <= MOST_SYMBOLS:
        raise ValueError(f"an alphabet has 2 to {MOST_SYMBOLS} characters, this one has {len(alphabet)}")
    seen: set[str] = set()
    for character in alphabet:
        shown = describe_character(character)
        if character in "\r\n" or unicodedata.category(character) == "Cs":
            raise ValueError(f"{shown} cannot be in an alphabet: it is a line end or half of a surrogate pair")
        if (composed := unicodedata.normalize("NFC", character)) != character:
            raise ValueError(f"{shown} cannot be in an alphabet: in Unicode's form NFC it is {composed!r}")
        form = lower(character) if fold_case else character
        if form in seen:
            raise ValueError(f"{shown} is twice in the alphabet" + ", if case is folded" * fold_case)
        seen.add(form)


def describe_character(character: str) -> str:
    """Name a character with its code point, because some cannot be displayed."""
    return f"{character!r} (U+{ord(character):04X})"


def describe_alphabet(alphabet: str) -> str:
    """Show an alphabet in a message; of a long one the beginning and the number of the others."""
    more = len(alphabet) - _SHOWN_SYMBOLS
    return repr(alphabet) if more <= 0 else f"{alphabet[:_SHOWN_SYMBOLS]!r} and {more} more"
