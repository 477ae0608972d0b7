"""The tokenisers of reviews: text to words and marks. A published tokeniser never changes: bundles depend on it."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bundle.text import show

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

# The tokens of `ReadableTokeniser`: as `TOKENS`, and stars, mentions, more emoticons, emoji. Asterisks at a word are
# emphasis, not a rating.
READABLE = (
    r"\d+(?:\.\d+)?/\d+|[^\W_]+(?:'(?!s\b)[^\W_]+)*|'s\b|[!?]|\.\.+|[★⭐🌟]+[☆✩]*|@\w+|<3"
    r"|[:;=]'?-?(?:[()\[\]|/\\*]|[DdPp](?![^\W_]))|[.,:;()\"]|(?<![^\W_])(?<!\*)\*++(?![^\W_])|[☀-➿🌀-🫿]"
)
POSITIVE_EMOJI = (
    "😀😃😄😁😆😅😂🤣😊😇🙂😉😌😍🥰😘😗😙😚😋😛😜🤪🤗🤩🥳😎😺😸😹😻☺👍👌👏🙌💪🤝🫶🤌❤🧡💛💚💙💜🤍🤎🖤💕💖💗💘💝💞💓💟♥❣💯"
    "🔥🎉🎊✨🏆🥇🏅👑💎✅✔💃🕺"
)
NEGATIVE_EMOJI = "😞😔😟😕🙁☹😣😖😫😩😢😭😤😠😡🤬🤮🤢😒🙄😑😬👎💔🤦🤡💩🗑😴🥱💤🚮❌🚫⛔👿😾😿🤥🖕😵"
STARS, NO_STARS = "★⭐🌟", "☆✩"
RATING_SCALES = ("4", "5", "6", "10", "20", "50", "100")  # 24/7 is no rating

POSITIVE_FACE, NEGATIVE_FACE, MENTION, ADDRESS = CLASSES = (":)", ":(", "@mention", "@address")


ENDING = "~"  # begins an ending in a vocabulary; no word begins with it


class _Tokeniser(BaseModel):
    """What all tokenisers share: a vocabulary has the words as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    def find_forms(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        return iter(())

    def find_endings(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the endings under which a vocabulary may have an unknown word, the longest first."""
        return iter(())


class KerasTokeniser(_Tokeniser):
    """The word splitting behind `keras.datasets.imdb`: lower case, filter characters to spaces, split at spaces.

    Markup is not removed, because that coding did not: `<br />` leaves the word `br`, its seventh most frequent.
    """

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


class WordTokeniser(_Tokeniser):
    """The project's own word splitting: it keeps marks that carry sentiment, which the Keras coding drops.

    Lower case; markup becomes a space; the typographic apostrophe becomes the straight one; ratings, "!", "?",
    ellipses and smileys are tokens of their own.
    """

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


class _CasedTokeniser(_Tokeniser):
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


class TokenTokeniser(_CasedTokeniser):
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

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        plain = _MARKUP_OF_ANY_CASE.sub(" ", text).replace(self.apostrophe, "'")
        tokens = _TOKENS_OF_ASCII if plain.isascii() else _TOKENS
        return tokens.findall(plain.lower() if plain.isupper() else plain)


class ReadableTokeniser(_CasedTokeniser):
    """The splitting of text as a reader sees it, for texts of any origin: see `bundle.text.show`.

    Words keep their case as in `TokenTokeniser`. Addresses and mentions (@name) are one word each; the words of a
    hashtag are words; of a run of "!" or "?" three are read. A word that the vocabulary lacks falls back: an elongation
    ("goooood") to its short form, a rating (7.5/10, 87/100) to tenths, stars (★★★☆☆) to a rating, emoji and emoticons
    to a positive or a negative face, a negation without its apostrophe ("wasnt") to the one with it, then a word to its
    longest known ending. The constants of this module and of `bundle.text` belong to this kind.
    """

    kind: Literal["readable"] = "readable"

    @property
    def classes(self) -> tuple[str, ...]:
        """The faces, mentions and addresses."""
        return CLASSES

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        plain = show(text)
        if "://" in plain or "www." in plain:
            plain = _ADDRESS.sub(f" {ADDRESS} ", plain)
        if "@" in plain:
            plain = _MAIL.sub(f" {ADDRESS} ", plain)
        if "#" in plain:
            plain = _HASHTAG.sub(_split_hashtag, plain)
        if "!!!!" in plain or "????" in plain:
            plain = _REPEATED.sub(r"\1", plain)
        words = _READABLE_OF_ASCII if plain.isascii() else _READABLE
        return words.findall(plain.lower() if plain.isupper() else plain)

    def find_forms(self, word: str) -> Iterator[str]:
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        first = word[0]
        if first.isalpha():
            lower = word.lower()
            yield lower
            yield from _shorten(lower)
            if lower.endswith("nt"):
                yield f"{lower[:-2]}n't"
        elif first == "@":
            yield MENTION
        elif first in STARS:
            given, empty = (sum(map(word.count, stars)) for stars in (STARS, NO_STARS))
            yield f"{given}/{given + empty}" if empty else "*" * given
            if empty:
                yield from _round_rating(f"{given}/{given + empty}")
        elif first.isdigit():
            yield from _round_rating(word)
        elif face := self._find_face(word):
            yield face

    def find_endings(self, word: str) -> Iterator[str]:
        """Return the endings of a word; marks have none."""
        return super().find_endings(word) if word[0].isalnum() else iter(())

    def _find_face(self, word: str) -> str | None:
        """Return the class of an emoticon or an emoji."""
        if word in POSITIVE_EMOJI or word[-1] in ")]DdPp*3" and len(word) > 1:
            return POSITIVE_FACE
        if word in NEGATIVE_EMOJI or word[-1] in "([/|\\" and len(word) > 1:
            return NEGATIVE_FACE
        return None


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

_READABLE = re.compile(READABLE)
# The same for ASCII: see `_TOKENS_OF_ASCII`.
_READABLE_OF_ASCII = re.compile(
    r"[a-zA-Z][a-zA-Z0-9]*+(?:'(?!s\b)[a-zA-Z0-9]++)*+|[,()\"!?]|\.\.++|[:;=]'?-?(?:[()\[\]|/\\*]"
    r"|[DdPp](?![a-zA-Z0-9]))|[.:;]|'s\b|[0-9]++(?:\.[0-9]++)?/[0-9]++|[0-9][a-zA-Z0-9]*+(?:'(?!s\b)[a-zA-Z0-9]++)*+|@\w++|<3"
    r"|(?<![a-zA-Z0-9*])\*++(?![a-zA-Z0-9])",
    re.ASCII,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S++")
# Each run of characters is tried once, from its start.
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]++(?:\.[\w-]++)++")
_HASHTAG = re.compile(r"#(\w++)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REPEATED = re.compile(r"(!!!|\?\?\?)[!?]++")
_ELONGATION = re.compile(r"(.)\1{2,}")
_MOST_ELONGATIONS = 4  # of one word that are tried in all combinations


def _split_hashtag(found: re.Match[str]) -> str:
    return " " + _CAMEL.sub(" ", found[1])


def _shorten(word: str) -> Iterator[str]:
    """Return an elongated word with each run of a letter made two letters or one."""
    runs = _ELONGATION.split(word)
    letters, between = runs[1::2], runs[::2]
    if 0 < len(letters) <= _MOST_ELONGATIONS:
        for counts in product((2, 1), repeat=len(letters)):
            ends = [letter * count for letter, count in zip(letters, counts, strict=True)]
            yield "".join(part + end for part, end in zip(between, [*ends, ""], strict=True))


def _round_rating(word: str) -> Iterator[str]:
    """Return a rating in tenths."""
    given, slash, most = word.partition("/")
    if slash and most in RATING_SCALES:
        yield f"{round(min(10 * float(given) / int(most), 10))}/10"


Tokeniser = Annotated[KerasTokeniser | WordTokeniser | TokenTokeniser | ReadableTokeniser, Field(discriminator="kind")]
