"""Edits of a text, and where the characters of the edited text were in the original."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

Replacement = str | Callable[[re.Match[str]], str]


class Token(NamedTuple):
    """A word or mark, and its place: `text[start:end]` of the original text."""

    word: str
    start: int
    end: int


class Editor(Protocol):
    """Edits a text. All editors return the same; some also remember the places."""

    def replace(self, pattern: re.Pattern[str], by: Replacement, text: str) -> str:
        """Return a text with each match replaced, as `re.sub` does."""

    def translate(self, pattern: re.Pattern[str], table: Mapping[int, str], text: str) -> str:
        """Return a text with each character of each match replaced, as `str.translate` does."""


class PlainEditor:
    """Edits a text and remembers nothing."""

    def replace(self, pattern: re.Pattern[str], by: Replacement, text: str) -> str:
        """Return a text with each match replaced: see `Editor`."""
        return pattern.sub(by, text)

    def translate(self, pattern: re.Pattern[str], table: Mapping[int, str], text: str) -> str:
        """Return a text with each character of each match replaced: see `Editor`."""
        return pattern.sub(lambda found: found[0].translate(table), text)


class Trace:
    """Edits one text, each time the result of the edit before, and remembers the places of its characters.

    Characters at the end of a replacement that are also at the end of the match stay where they were, apart from added
    spaces. The other ones have the place of the rest of the match.
    """

    def __init__(self, text: str) -> None:
        """Begin with the original text."""
        self._starts = list(range(len(text)))
        self._ends = list(range(1, len(text) + 1))

    def replace(self, pattern: re.Pattern[str], by: Replacement, text: str) -> str:
        """Return a text with each match replaced: see `Editor`."""

        def expand(found: re.Match[str]) -> str:
            return found.expand(by) if isinstance(by, str) else by(found)

        return self._edit(pattern, expand, self._align, text)

    def translate(self, pattern: re.Pattern[str], table: Mapping[int, str], text: str) -> str:
        """Return a text with each character of each match replaced: see `Editor`."""

        def place(found: re.Match[str], _: str) -> tuple[list[int], list[int]]:
            starts: list[int] = []
            ends: list[int] = []
            for at, character in enumerate(found[0], found.start()):
                count = len(character.translate(table))
                starts += [self._starts[at]] * count
                ends += [self._ends[at]] * count
                if not count and _extends(character):
                    if ends:
                        ends[-1] = self._ends[at]
                    elif found.start():
                        self._ends[found.start() - 1] = self._ends[at]
            return starts, ends

        return self._edit(pattern, lambda found: found[0].translate(table), place, text)

    def find(self, pattern: re.Pattern[str], text: str) -> list[Token]:
        """Return the matches in the edited text, in order. Their places rise and do not overlap.

        A place ends behind the combining marks, joiners and skin tones that follow its last character.
        Of several matches in one original character, such as "!!" in "\N{DOUBLE EXCLAMATION MARK}", the first has its
        place, and the other ones have an empty place behind it.
        """
        tokens: list[Token] = []
        before = 0
        for found in pattern.finditer(text):
            start = max(before, self._starts[found.start()])
            end = found.end()
            while end < len(text) and _extends(text[end]):
                end += 1
            before = max(start, self._ends[end - 1])
            tokens.append(Token(found[0], start, before))
        return tokens

    def _edit(
        self,
        pattern: re.Pattern[str],
        expand: Callable[[re.Match[str]], str],
        place: Callable[[re.Match[str], str], tuple[list[int], list[int]]],
        text: str,
    ) -> str:
        """Return a text with each match expanded; `place` returns starts and ends of the new characters."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for found in pattern.finditer(text):
            new = expand(found)
            new_starts, new_ends = place(found, new)
            parts += (text[at : found.start()], new)
            starts += self._starts[at : found.start()] + new_starts
            ends += self._ends[at : found.start()] + new_ends
            at = found.end()
        self._starts = starts + self._starts[at:]
        self._ends = ends + self._ends[at:]
        return "".join([*parts, text[at:]])

    def _align(self, found: re.Match[str], new: str) -> tuple[list[int], list[int]]:
        """Return starts and ends of the characters of a replacement."""
        first, last = found.span()
        starts: list[int] = []  # from the end
        ends: list[int] = []
        for character in reversed(new):
            if last > first and character == found.string[last - 1]:
                last -= 1
                starts.append(self._starts[last])
                ends.append(self._ends[last])
            elif last > first and character == " ":
                starts.append(self._ends[last - 1])
                ends.append(self._ends[last - 1])
            else:
                break
        left = len(new) - len(starts)
        begin = self._ends[first - 1] if first else 0
        if last > first:
            begin = self._starts[first]
            if starts and not left:
                starts[-1] = begin  # what is dropped belongs to the first character
        starts += [begin] * left
        ends += [self._ends[last - 1] if last > first else begin] * left
        return starts[::-1], ends[::-1]


def _extends(character: str) -> bool:
    """Return whether a reader sees a character as a part of the one before: a mark, a joiner or a skin tone."""
    return not character.isascii() and (
        unicodedata.category(character).startswith("M")
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


PLAIN = PlainEditor()
