"""What all tokenisers of reviews share."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bundle.editing import PLAIN, Editor, Token, Trace

ENDING = "~"  # begins an ending in a vocabulary; no word begins with it

_DOTTED_I = re.compile("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}")


class TokeniserBase(BaseModel, ABC):
    """What all tokenisers share: a vocabulary has the words as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        edited, pattern = self._edit(text, PLAIN)
        words: list[str] = pattern.findall(edited)
        return words

    def split_with_places(self, text: str) -> list[Token]:
        """Return the same words and marks with their places: see `Trace.find`. It takes several times as long."""
        trace = Trace(text)
        edited, pattern = self._edit(text, trace)
        return trace.find(pattern, edited)

    @abstractmethod
    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        """Return the text to find words in, and the pattern of a word."""

    @property
    def keeps_case(self) -> bool:
        """Whether words come in their original case."""
        return False

    @property
    def classes(self) -> tuple[str, ...]:
        """Words that stand for a class of others; every vocabulary has them."""
        return ()

    def fold(self, word: str) -> str:
        """Return the form of a word in vocabularies."""
        return word

    def is_word(self, word: str) -> bool:
        """Return whether a word of a vocabulary may have a verdict alone, as marks and emoji may not."""
        return any(map(str.isalnum, word))

    def find_forms(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        return iter(())

    def find_endings(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the endings under which a vocabulary may have an unknown word, the longest first."""
        return iter(())


class CasedTokeniser(TokeniserBase):
    """Keeps the case of words, for vocabularies with words in lower case and some in capitals."""

    longest_ending: Literal[4] = 4

    @property
    def keeps_case(self) -> bool:
        """Whether words come in their original case."""
        return True

    def fold(self, word: str) -> str:
        """Return the form of a word in vocabularies: in capitals if the word is in capitals, else in lower case."""
        return word if len(word) > 1 and word.isupper() else word.lower()

    def find_forms(self, word: str) -> Iterator[str]:
        """Return the forms under which a vocabulary may have a word that it lacks: in lower case."""
        yield word.lower()

    def find_endings(self, word: str) -> Iterator[str]:
        """Return the endings under which a vocabulary may have an unknown word, longest first: `~ness` of `oddness`."""
        lower = word.lower()
        return (f"{ENDING}{lower[-length:]}" for length in range(min(self.longest_ending, len(lower)), 0, -1))


def lower(text: str, editor: Editor) -> str:
    """Return a text in lower case; one character becomes two."""
    if "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" in text:
        text = editor.replace(_DOTTED_I, "i\N{COMBINING DOT ABOVE}", text)
    return text.lower()
