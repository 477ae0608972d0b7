"""The tokenisers of reviews: text to words and marks. A published tokeniser never changes: bundles depend on it."""

import re
from typing import Annotated, Literal

from pydantic import Field

from bundle.editing import PLAIN, Editor
from bundle.readable import ReadableTokeniser
from bundle.splitting import CasedTokeniser, TokeniserBase, lower

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


class KerasTokeniser(TokeniserBase):
    """The word splitting behind `keras.datasets.imdb`: lower case, filter characters to spaces, split at spaces.

    Markup is not removed, because that coding did not: `<br />` leaves the word `br`, its seventh most frequent.
    """

    kind: Literal["keras"] = "keras"
    lower_case: Literal[True] = True
    filters: Literal['!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'] = KERAS_FILTERS
    markup: Literal["kept"] = "kept"

    def split(self, text: str) -> list[str]:
        """Return the words of a text, in order."""
        edited, _ = self._edit(text, PLAIN)
        return list(filter(None, edited.split(" ")))  # faster than the pattern

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        # Bytes are translated ten times as fast as text; all filter characters are ASCII, one byte in UTF-8.
        spaced = lower(text, editor).encode("utf-8", "surrogatepass").translate(_FILTERS_TO_SPACES)
        # Split only at spaces: other white space ("\r") stays inside words, as in the Keras coding.
        return spaced.decode("utf-8", "surrogatepass"), _NO_SPACES


class WordTokeniser(TokeniserBase):
    """The project's own word splitting: it keeps marks that carry sentiment, which the Keras coding drops.

    Lower case; markup becomes a space; the typographic apostrophe becomes the straight one; ratings, "!", "?",
    ellipses and smileys are tokens of their own.
    """

    kind: Literal["words"] = "words"
    lower_case: Literal[True] = True
    apostrophe: Literal["\N{RIGHT SINGLE QUOTATION MARK}"] = "\N{RIGHT SINGLE QUOTATION MARK}"
    pattern: Literal[r"\d+/\d+|[^\W_]+(?:'[^\W_]+)*|[!?]|\.\.+|[:;]-?[()]"] = WORDS
    markup: Literal["</?[a-z][^<>]*>"] = MARKUP

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        straight = lower(text, editor).replace(self.apostrophe, "'")
        words = _WORDS_OF_ASCII if straight.isascii() else _WORDS
        return editor.replace(_MARKUP, " ", straight), words


class TokenTokeniser(CasedTokeniser):
    """The splitting for language models: words in their original case, and every mark between them.

    Markup becomes a space; the typographic apostrophe becomes the straight one. A word in capitals stays so, as it is
    emphasised; but a text that is all in capitals becomes lower case. A vocabulary has words in lower case, and words
    in capitals that are frequent in that form. Unknown words fall back to lower case, then to their longest known
    ending.
    """

    kind: Literal["tokens"] = "tokens"
    apostrophe: Literal["\N{RIGHT SINGLE QUOTATION MARK}"] = "\N{RIGHT SINGLE QUOTATION MARK}"
    pattern: Literal[r"\d+(?:\.\d+)?/\d+|[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b|[!?]|\.\.+|[:;]-?[()]|\*+|[.,:;()\"]"] = (
        TOKENS
    )
    markup: Literal["</?[a-zA-Z][^<>]*>"] = MARKUP_OF_ANY_CASE

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        plain = editor.replace(_MARKUP_OF_ANY_CASE, " ", text).replace(self.apostrophe, "'")
        tokens = _TOKENS_OF_ASCII if plain.isascii() else _TOKENS
        return lower(plain, editor) if plain.isupper() else plain, tokens


_FILTERS_TO_SPACES = bytes.maketrans(KERAS_FILTERS.encode(), b" " * len(KERAS_FILTERS))
_NO_SPACES = re.compile("[^ ]+")
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

Tokeniser = Annotated[KerasTokeniser | WordTokeniser | TokenTokeniser | ReadableTokeniser, Field(discriminator="kind")]
