"""The tokenisers of reviews: text to words and marks. A published tokeniser never changes: bundles depend on it."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bundle.editing import PLAIN, Editor, Token, Trace
from bundle.text import RULES, STARS, show

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

# The tokens of `ReadableTokeniser`, in this order: censored words ("f***ing", "f**", "cr@p"), ratings, decimal numbers,
# words, marks, stars, mentions, emoticons, emoji. Asterisks around a word are emphasis; others may be a rating. Some
# emoticons are such only between spaces.
READABLE = (
    r"(?<!\*)[^\W\d_]++(?:\*++[^\W_]++)++|(?<![^\W_])(?<!\*)[^\W\d_]{1,2}\*{2,}+"
    r"|(?<![^\W_])[^\W\d_]{1,2}@[^\W\d_]{1,6}(?![\w@])"
    r"|\d{1,2},\d{1,2}/\d++|\d++(?:\.\d++)?/\d++|\d++\.\d++(?![^\W_])|[^\W_]+(?:'(?!s(?![^\W_]))[^\W_]+)*|'s(?![^\W_])"
    rf"|[!?]|\.\.+|[{STARS}]+(?:\.(?:25|5|75)(?![^\W_]))?[☆✩]*|@\w+|</?3|(?<!\S)(?:[()]-?:|\^[_-]?\^|-_+-)(?!\S)"
    r"|[:;=]'?-?(?:[()\[\]|\\*]|/(?!/)|[DdPp](?![^\W_]))|[.,:;()\"]|(?<![^\W_])(?<!\*)\*++(?![^\W_])|[☀-➿🌀-🫿]"
)
POSITIVE_EMOJI = (
    "😀😃😄😁😆😅😂🤣😊😇🙂😉😌😍🥰😘😗😙😚😋😛😜🤪🤗🤩🥳😎🤓🤠🤭😺😸😹😻😽☺☻👍👌👏🙌💪🤝🫶🤌🙏✌🤘🤙🤟🫰"
    "❤🧡💛💚💙💜🤍🤎🖤🩷🩵🩶💕💖💗💘💝💞💓💟♥♡❥❣💌💋💏💑💯🔥🎉🎊🎈🥂🍾💐🌹✨🏆🥇🏅👑💎✅✔✓📈💃🕺"
)
NEGATIVE_EMOJI = (
    "😞😔😟😕🙁☹😣😖😫😩😢😭😤😠😡🤬🤮🤢😒🙄😑😬😦😧😨😰😥😓😪🥴🫤🫩"
    "👎💔🤦🙍🙎🙅🤡💩🗑😴🥱💤🚮❌✗✘🚫⛔💢👿😾😿🙀🤥🖕😵🥀📉"
)
POSITIVE_EMOTICONS = ("(:", "(-:", "^^", "^_^", "^-^", "<3")
NEGATIVE_EMOTICONS = ("):", ")-:", "</3")
NO_STARS = "☆✩"
RATING_SCALES = ("4", "5", "6", "10", "20", "50", "100")  # 24/7 is no rating
MOST_STARS = 5  # a row of stars without empty ones is a rating out of as many

POSITIVE_FACE, NEGATIVE_FACE, MENTION, ADDRESS = CLASSES = (":)", ":(", "@mention", "@address")

ENDING = "~"  # begins an ending in a vocabulary; no word begins with it

_READABLE = re.compile(READABLE)
# Finds the same in ASCII without `_RARE`: see `_TOKENS_OF_ASCII`.
_READABLE_OF_ASCII = re.compile(
    r"[a-zA-Z][a-zA-Z0-9]*+(?:'(?!s(?![a-zA-Z0-9]))[a-zA-Z0-9]++)*+|[,\"!?]|\.++|[()](?:(?<!\S[()])-?:(?!\S))?+"
    r"|[:;=]'?-?(?:[()\[\]|\\]|/(?!/)|[DdPp](?![a-zA-Z0-9]))|[:;]|'s(?![a-zA-Z0-9])"
    r"|[0-9](?:[0-9]?,[0-9]{1,2}/[0-9]++|[0-9]*+(?:\.[0-9]++)?/[0-9]++|[0-9]*+\.[0-9]++(?![a-zA-Z0-9])"
    r"|[a-zA-Z0-9]*+(?:'(?!s(?![a-zA-Z0-9]))[a-zA-Z0-9]++)*+)",
    re.ASCII,
)
_RARE = "*@<^_"  # single characters: to find two takes 20 times as long
_ADDRESS = re.compile(r"""(?:(?:https?|ftp)://|(?<!\w)www\.(?=\w))[^\s<>"]*[^\s<>")\].,!?;:']""", re.IGNORECASE)
# Each run of characters is tried once, from its start.
_MAIL = re.compile(r"(?<![\w+-])(?<![\w+-]\.)[\w+-]++(?:\.[\w+-]++)*+@[\w-]++(?:\.[\w-]++)++")
_HASHTAG = re.compile(r"#(\w++)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REPEATED = re.compile(r"([!?]{3})[!?]++")
_OUT_OF = re.compile(r"out[\W_]++of[\W_]++\d")  # and perhaps marks between: see `_join_ratings`
_NUMBER = re.compile(r"\d++(?:\.\d++)?")
_DASHED_FACE = re.compile("-_+-")
_LAUGH = re.compile("[xX][dD]+")
_ELONGATION = re.compile(r"(.)\1{2,}")
_MOST_ELONGATIONS = 4  # of one word that are tried in all combinations
_CODE_VERSION = (
    1  # raise it if the code changes the splitting and no constant does: tests/bundle/readable.json shows it
)
# SHA-256 of all constants that decide the splitting of `ReadableTokeniser`.
READABLE_RULES = hashlib.sha256(
    json.dumps(
        [
            _CODE_VERSION,
            RULES,
            READABLE,
            POSITIVE_EMOJI,
            NEGATIVE_EMOJI,
            POSITIVE_EMOTICONS,
            NEGATIVE_EMOTICONS,
            STARS,
            NO_STARS,
            RATING_SCALES,
            MOST_STARS,
            CLASSES,
            ENDING,
            _MOST_ELONGATIONS,
            _RARE,
            *(
                pattern.pattern
                for pattern in (
                    _READABLE_OF_ASCII,
                    _ADDRESS,
                    _MAIL,
                    _HASHTAG,
                    _CAMEL,
                    _REPEATED,
                    _OUT_OF,
                    _NUMBER,
                    _DASHED_FACE,
                    _LAUGH,
                    _ELONGATION,
                )
            ),
        ]
    ).encode()
).hexdigest()


_OTHER_RULES = "the bundle was made with other rules of the tokeniser than those of this release"


def _check_rules(rules: str) -> str:
    if rules != READABLE_RULES:
        raise ValueError(_OTHER_RULES)
    return rules


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

    def find_forms(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        return iter(())

    def find_endings(self, word: str) -> Iterator[str]:  # noqa: ARG002
        """Return the endings under which a vocabulary may have an unknown word, the longest first."""
        return iter(())


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


class _CasedTokeniser(TokeniserBase):
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

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        plain = editor.replace(_MARKUP_OF_ANY_CASE, " ", text).replace(self.apostrophe, "'")
        tokens = _TOKENS_OF_ASCII if plain.isascii() else _TOKENS
        return lower(plain, editor) if plain.isupper() else plain, tokens


class ReadableTokeniser(_CasedTokeniser):
    """The splitting of text as a reader sees it, for texts of any origin: see `bundle.text.show`.

    Words keep their case as in `TokenTokeniser`. Addresses, mentions (@name) and censored words ("sh*t") are one word
    each, "4 out of 5" is the rating 4/5, and of a run of "!" and "?" three are read. A word that the vocabulary lacks
    falls back: an elongation ("goooood") to its short form, a rating (7.5/10, 87/100, ★★★☆☆, ***) to tenths, emoji and
    emoticons to a face, a censored word to its beginning ("sh*"), a negation without its apostrophe ("wasnt") to the
    one with it, then a word to its longest known ending. The constants of this module and of `bundle.text` belong to
    this kind: a bundle with other `rules` is refused.
    """

    kind: Literal["readable"] = "readable"
    # In a manifest always, so that a bundle of a release without this field is refused.
    rules: Annotated[str, AfterValidator(_check_rules)] = READABLE_RULES

    @model_validator(mode="before")
    @classmethod
    def _has_rules(cls, fields: object) -> object:
        if isinstance(fields, dict) and fields and "rules" not in fields:
            raise ValueError(_OTHER_RULES)
        return fields

    @property
    def classes(self) -> tuple[str, ...]:
        """The faces, mentions and addresses."""
        return CLASSES

    def split(self, text: str) -> list[str]:
        """Return the words and marks of a text, in order."""
        plain, pattern = self._edit(text, PLAIN)
        words: list[str] = pattern.findall(plain)
        return [word for word, _ in _join_ratings(words)] if _OUT_OF.search(plain) else words

    def split_with_places(self, text: str) -> list[Token]:
        """Return the same words and marks with their places: see `TokeniserBase.split_with_places`."""
        tokens = super().split_with_places(text)
        left = iter(tokens)
        joined = [(word, list(islice(left, count))) for word, count in _join_ratings([token.word for token in tokens])]
        return [Token(word, parts[0].start, parts[-1].end) for word, parts in joined]

    def _edit(self, text: str, editor: Editor) -> tuple[str, re.Pattern[str]]:
        plain = show(text, editor)
        if plain.isupper():
            plain = lower(plain, editor)
        if "://" in plain or "www." in plain:
            plain = editor.replace(_ADDRESS, f" {ADDRESS} ", plain)
        if "@" in plain:
            plain = editor.replace(_MAIL, f" {ADDRESS} ", plain)
        if "#" in plain:
            plain = editor.replace(_HASHTAG, _split_hashtag, plain)
        if "!!!!" in plain or "????" in plain or "!" in plain and "?" in plain and ("?!" in plain or "!?" in plain):
            plain = editor.replace(_REPEATED, r"\1", plain)
        is_plain = plain.isascii() and not any(map(plain.__contains__, _RARE))
        return plain, _READABLE_OF_ASCII if is_plain else _READABLE

    def find_class(self, word: str) -> str | None:
        """Return what stands for all words like a rare one: a face, `@mention`, `@address`, or "sh*" of "sh*t".

        None for words that stand for themselves.
        """
        if word[0].isalpha() and "*" in word:
            return f"{word.partition('*')[0].lower()}*"
        if word == ADDRESS:
            return ADDRESS
        if word[0] == "@":
            return MENTION
        is_emoticon = word[0] in ":;=" and len(word) > 1
        if word in POSITIVE_EMOJI or word in POSITIVE_EMOTICONS or is_emoticon and word[-1] in ")]DdPp*":
            return POSITIVE_FACE
        if word in NEGATIVE_EMOJI or word in NEGATIVE_EMOTICONS or is_emoticon or _DASHED_FACE.fullmatch(word):
            return NEGATIVE_FACE
        return POSITIVE_FACE if _LAUGH.fullmatch(word) else None

    def find_forms(self, word: str) -> Iterator[str]:
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        first = word[0]
        if first.isalpha():
            lower = word.lower().replace("@", "*")
            yield lower
            if class_ := self.find_class(lower):
                yield class_
            yield from _shorten(lower)
            if lower.endswith("nt"):
                yield f"{lower[:-2]}n't"
        elif first.isdigit():
            yield from _find_ratings(word)
        elif first in STARS:
            yield from _find_ratings(_count_stars(word))
        elif first == "*" and len(word) <= MOST_STARS:
            yield from _find_ratings(f"{len(word)}/{MOST_STARS}")
        elif class_ := self.find_class(word):
            yield class_

    def find_endings(self, word: str) -> Iterator[str]:
        """Return the endings of a word; marks have none."""
        return super().find_endings(word) if word[0].isalnum() else iter(())


_FILTERS_TO_SPACES = bytes.maketrans(KERAS_FILTERS.encode(), b" " * len(KERAS_FILTERS))
_NO_SPACES = re.compile("[^ ]+")
_DOTTED_I = re.compile("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}")
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


def lower(text: str, editor: Editor) -> str:
    """Return a text in lower case; one character becomes two."""
    if "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" in text:
        text = editor.replace(_DOTTED_I, "i\N{COMBINING DOT ABOVE}", text)
    return text.lower()


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


def _join_ratings(words: Sequence[str]) -> list[tuple[str, int]]:
    """Return words, each with the number of words that it is made of.

    "4", "out", "of", "5" become "4/5", and so do "4", "stars", "out", "of", "5".
    """
    joined: list[tuple[str, int]] = []
    for word in words:
        joined.append((word, 1))
        if word in RATING_SCALES and [before for before, _ in joined[-3:-1]] == ["out", "of"]:
            length = 5 if joined[-4:-3] == [("stars", 1)] else 4
            given = joined[-length][0] if len(joined) >= length else ""
            if _NUMBER.fullmatch(given):
                joined[-length:] = [(f"{given}/{word}", length)]
    return joined


def _count_stars(word: str) -> str:
    """Return stars as a rating: ★★★☆☆ and ★★★ are 3/5, ★★★.5 is 3.5/5."""
    given, empty = (sum(map(word.count, stars)) for stars in (STARS, NO_STARS))
    fraction = "".join(character for character in word if character.isascii())
    return f"{given}{fraction}/{given + bool(fraction) + empty if empty else MOST_STARS}"


def _find_ratings(word: str) -> Iterator[str]:
    """Return a rating in tenths, and of another decimal number the part before the point."""
    given, slash, most = word.replace(",", ".").partition("/")
    if not slash:
        whole, point, _ = given.partition(".")
        if point:
            yield whole
    elif most in RATING_SCALES:
        if "," in word:
            yield f"{given}/{most}"
        yield f"{round(min(10 * float(given) / int(most), 10))}/10"


Tokeniser = Annotated[KerasTokeniser | WordTokeniser | TokenTokeniser | ReadableTokeniser, Field(discriminator="kind")]
