"""The letter codec: text to the padded, normalised input of a next-letter network."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bundle.codec import Preprocessing
from bundle.errors import LetterError
from bundle.rows import Row

ALPHABET: Literal["ABCDEFGHIJKLMNOPQRSTUVWXYZ"] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Not str.isalpha and str.upper: they accept letters far beyond A-Z ("ß".upper() is "SS").
_NO_LETTER = re.compile(r"[^A-Za-z]")


class LetterCodec(Preprocessing):
    """Codes letters as numbers in [0, 1]; this is the `preprocessing` section of a next-letter manifest.

    Letter number k of the alphabet (A = 0) becomes `(k + first_code) / divisor`. With `first_code` 0, the published
    coding of the reference recipes, `A` equals padding of 0; with 1, or with padding of -1, no letter equals padding.
    """

    kind: Literal["letters"] = "letters"
    alphabet: Literal["ABCDEFGHIJKLMNOPQRSTUVWXYZ"] = ALPHABET
    length: int = Field(ge=1, le=1000, description="Letters that the network reads; shorter sequences are padded.")
    layout: Literal["steps", "features"] = Field(
        default="steps", description="The letters are time steps, or the features of a single time step."
    )
    first_code: Literal[0, 1] = Field(description="Code of the letter A.")
    divisor: Literal[26] = 26
    padding_value: Literal[0, -1] = 0
    padding_side: Literal["left"] = "left"

    @property
    def preprocessing(self) -> Self:
        """The section of the manifest, which is this codec itself."""
        return self

    def open_codec(self, folder: Path) -> Self:  # noqa: ARG002
        """Return this codec: see `Preprocessing.open_codec`."""
        return self

    @property
    def padding(self) -> np.float32:
        """The value of a padding step."""
        return np.float32(self.padding_value)

    def encode(self, sequence: str) -> NDArray[np.float32]:
        """Return the normalised codes of a sequence, not padded.

        Args:
            sequence: 1 to `length` letters A-Z or a-z.

        Returns:
            float32 [letters], each in [0, 1].

        Raises:
            LetterError: the sequence is not 1 to `length` letters; it has the wrong character and its position.
        """
        if not sequence:
            raise LetterError(f"the sequence is empty; send 1 to {self.length} letters A-Z", position=0, character="")
        if wrong := _NO_LETTER.search(sequence):
            raise LetterError(
                f"{_describe(wrong[0])} at position {wrong.start()} (the first is 0) is not a letter; "
                "send letters A-Z or a-z only",
                position=wrong.start(),
                character=wrong[0],
            )
        if len(sequence) > self.length:
            raise LetterError(
                f"the sequence has {len(sequence)} letters, this model reads at most {self.length}; "
                f"{sequence[self.length]!r} at position {self.length} (the first is 0) is one too many: "
                f"send the last {self.length}",
                position=self.length,
                character=sequence[self.length],
            )
        codes = np.frombuffer(sequence.upper().encode("ascii"), np.uint8) - ord("A") + self.first_code
        return codes.astype(np.float32) / np.float32(self.divisor)

    def make_longest_row(self) -> NDArray[np.float32]:
        """Return a row of the full length, float32 [length]."""
        return self.encode((self.alphabet * self.length)[: self.length])

    def make_row(self, steps: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Return random letters as a row, float32 [steps]; there may be 0 steps."""
        return self.encode("".join(random.choice(list(self.alphabet), max(steps, 1))))[:steps]

    def pad(self, sequences: Sequence[Row]) -> NDArray[np.float32]:
        """Pad coded sequences on the left to the network's input.

        Returns:
            float32 [sequences, length, 1], or with the layout `features` [sequences, 1, length].
        """
        padded = np.full((len(sequences), self.length), self.padding_value, np.float32)
        for row, codes in zip(padded, sequences, strict=True):
            row[self.length - len(codes) :] = codes
        return padded[:, :, np.newaxis] if self.layout == "steps" else padded[:, np.newaxis]


def _describe(character: str) -> str:
    """Name a character with its code point, because some cannot be displayed."""
    return f"{character!r} (U+{ord(character):04X})"
