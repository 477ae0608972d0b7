"""The tokeniser of texts of any origin. Its rules belong to a bundle: one with other rules is refused."""

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import islice, product
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, model_validator

from bundle import ratings
from bundle.editing import PLAIN, Editor, Token
from bundle.splitting import CasedTokeniser, lower
from bundle.text import RULES as RULES_OF_TEXT
from bundle.text import STARS, show

# Words that stand for others; every vocabulary has them.
POSITIVE_FACE, NEGATIVE_FACE, MENTION, ADDRESS = CLASSES = (":)", ":(", "@mention", "@address")

# Emoji and emoticons.
POSITIVE_EMOJI: Final = (
    "😀😃😄😁😆😅😂🤣😊😇🙂😉😌😍🥰😘😗😙😚😋😛😜🤪🤗🤩🥳😎🤓🤠🤭😺😸😹😻😽☺☻👍👌👏🙌💪🤝🫶🤌🙏✌🤘🤙🤟🫰"
    "❤🧡💛💚💙💜🤍🤎🖤🩷🩵🩶💕💖💗💘💝💞💓💟♥♡❥❣💌💋💏💑💯🔥🎉🎊🎈🥂🍾💐🌹✨🏆🥇🏅👑💎✅✔✓📈💃🕺"
)
NEGATIVE_EMOJI: Final = (
    "😞😔😟😕🙁☹😣😖😫😩😢😭😤😠😡🤬🤮🤢😒🙄😑😬😦😧😨😰😥😓😪🥴🫤🫩"
    "👎💔🤦🙍🙎🙅🤡💩🗑😴🥱💤🚮❌✗✘🚫⛔💢👿😾😿🙀🤥🖕😵🥀📉"
)
POSITIVE_EMOTICONS: Final = ("(:", "(-:", "^^", "^_^", "^-^")
NEGATIVE_EMOTICONS: Final = ("):", ")-:")
_DASHED_FACE = re.compile("-_+-")
_LAUGHING_FACE = re.compile("[xX][dD]+")

# Tokens, in this order; the first alternative finds most words that the others would find, in less time. Asterisks
# around a word are emphasis; others may be a rating. Some emoticons are such only between spaces. The numbers of a date
# (10/10/2020) are no rating.
_USUAL_WORD = r"[^\W\d_][^\W_]*+(?:'(?!s(?![^\W_]))[^\W_]++)*+(?![*@])"
_CENSORED = (
    r"(?<!\*)[^\W\d_]++(?:\*++[^\W_]++)++|(?<![^\W_])(?<!\*)[^\W\d_]{1,2}\*{2,}+"
    r"|(?<![^\W_])[^\W\d_]{1,2}@[^\W\d_]{1,6}(?![\w@])"
)
_RATING = r"\d{1,2},\d{1,2}/\d++(?!/\d)|(?<!\d/)\d++(?:\.\d++)?/\d++(?!/\d)"
_DECIMAL = r"\d++\.\d++(?![^\W_])"
_WORD = r"[^\W_]+(?:'(?!s(?![^\W_]))[^\W_]+)*|'s(?![^\W_])"
_STRONG_MARK = r"[!?]|\.\.+"
_ROW_OF_STARS = rf"[{STARS}]+(?:\.(?:25|5|75)(?![^\W_]))?[{ratings.EMPTY_STARS}]*"
_EMOTICON = (
    r"<[/\\]?3++(?![\d%]|[.,]\d)|(?<!\S)(?:[()]-?:|\^[_-]?\^|-_+-)(?!\S)"
    r"|[:;=]'?-?(?:[()\[\]|\\*]|/(?!/)|[DdPp](?![^\W_]))"
)
_MARK = r"[.,:;()\"]|(?<![^\W_])(?<!\*)\*++(?![^\W_])"
_EMOJI = "[☀-➿🌀-🫿]"
_TOKEN = "|".join(
    (_USUAL_WORD, _CENSORED, _RATING, _DECIMAL, _WORD, _STRONG_MARK, _ROW_OF_STARS, r"@\w+", _EMOTICON, _MARK, _EMOJI)
)
# Finds the same in ASCII without `_RARE`: character classes are plain ranges, and there is no backtracking.
_RARE = "*@<^_"  # single characters: to find two takes 20 times as long
_TOKEN_OF_ASCII = (
    r"[a-zA-Z][a-zA-Z0-9]*+(?:'(?!s(?![a-zA-Z0-9]))[a-zA-Z0-9]++)*+|[,\"!?]|\.++|[()](?:(?<!\S[()])-?:(?!\S))?+"
    r"|[:;=]'?-?(?:[()\[\]|\\]|/(?!/)|[DdPp](?![a-zA-Z0-9]))|[:;]|'s(?![a-zA-Z0-9])"
    r"|[0-9](?:[0-9]?,[0-9]{1,2}/[0-9]++(?!/[0-9])|(?<![0-9]/[0-9])[0-9]*+(?:\.[0-9]++)?/[0-9]++(?!/[0-9])"
    r"|[0-9]*+\.[0-9]++(?![a-zA-Z0-9])|[a-zA-Z0-9]*+(?:'(?!s(?![a-zA-Z0-9]))[a-zA-Z0-9]++)*+)"
)
_TOKENS, _TOKENS_OF_ASCII = re.compile(_TOKEN), re.compile(_TOKEN_OF_ASCII, re.ASCII)
# The tokens with the space before them: it takes four fifths of the time, because no search begins at a space in vain.
_AFTER_SPACE = {pattern: re.compile(f" ?({pattern.pattern})", pattern.flags) for pattern in (_TOKENS, _TOKENS_OF_ASCII)}

# Addresses, mentions and hashtags.
_ADDRESS = re.compile(r"""(?:(?:https?|ftp)://|(?<!\w)www\.(?=\w))[^\s<>"]*[^\s<>")\].,!?;:']""", re.IGNORECASE)
# Each run of characters is tried once, from its start.
_MAIL = re.compile(r"(?<![\w+-])(?<![\w+-]\.)[\w+-]++(?:\.[\w+-]++)*+@[\w-]++(?:\.[\w-]++)++")
_HASHTAG = re.compile(r"#(\w++)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

# Apostrophes: "isn''t"; and tokenised corpora have "is n't" and "I 'll". The literal characters come first in a
# pattern, because they are found fast.
_DOUBLED = re.compile(r"(?<=[^\W_])''++(?=[^\W_])")
_NOT_APART = re.compile(r" n't(?<=[^\W_] n't)(?<!'t n't)(?![^\W_])")
_VERB_APART = re.compile(r" '(?<=[^\W_] ')(?:ll|re|ve|[dm])(?![^\W_]|')")
_NOT = re.compile(r"n't(?<![^\W_]n't)(?![^\W_])")

# Runs of "!" and "?".
_REPEATED = re.compile(r"([!?]{3})[!?]++")

# Forms of a word that the vocabulary lacks.
_ELONGATION = re.compile(r"(.)\1{2,}")
_MOST_ELONGATIONS = 4  # of one word that are tried in all combinations
_LAUGHTER = re.compile(r"(.{2,4}?)\1{2,}(.{0,3})")  # "hahahaha", "lololol"

# Raise it if the code changes the splitting and no constant does: tests/bundle/readable.json shows it.
_CODE_VERSION = 2

# SHA-256 of all that decides the splitting, but for the tables of Unicode in Python: with them, Python 3.11 to 3.13
# would refuse each other's bundles, although they differ only in characters that are newer than Unicode 14.
RULES: Final = hashlib.sha256(
    json.dumps(
        [
            _CODE_VERSION,
            RULES_OF_TEXT,
            ratings.RULES,
            CLASSES,
            POSITIVE_EMOJI,
            NEGATIVE_EMOJI,
            POSITIVE_EMOTICONS,
            NEGATIVE_EMOTICONS,
            _TOKEN,
            _TOKEN_OF_ASCII,
            _RARE,
            _MOST_ELONGATIONS,
            *(
                pattern.pattern
                for pattern in (
                    _DASHED_FACE,
                    _LAUGHING_FACE,
                    _ADDRESS,
                    _MAIL,
                    _HASHTAG,
                    _CAMEL,
                    _DOUBLED,
                    _NOT_APART,
                    _VERB_APART,
                    _NOT,
                    _REPEATED,
                    _ELONGATION,
                    _LAUGHTER,
                )
            ),
        ]
    ).encode()
).hexdigest()

_OTHER_RULES = "the bundle was made with other rules of the tokeniser than those of this release"


def _check_rules(rules: str) -> str:
    if rules != RULES:
        raise ValueError(_OTHER_RULES)
    return rules


class ReadableTokeniser(CasedTokeniser):
    """The splitting of text as a reader sees it, for texts of any origin: see `bundle.text.show`.

    Words keep their case as in `TokenTokeniser`. Addresses, mentions (@name) and censored words ("sh*t") are one word
    each, "4 out of 5" is the rating 4/5 and "4★" too, and of a run of "!" and "?" three are read. Vocabularies have
    ratings in figures as tenths (8/10 for 4/5), rows of stars as whole and half stars of five. A word that the
    vocabulary lacks falls back: an elongation ("goooood") to its short form, emoji and emoticons to a face, a censored
    word to its beginning ("sh*"), a negation without its apostrophe ("wasnt") to the one with it, then a word to its
    longest known ending. The constants of this module, of `bundle.ratings` and of `bundle.text` belong to this kind: a
    bundle with other `rules` is refused.
    """

    kind: Literal["readable"] = "readable"
    # In a manifest always, so that a bundle of a release without this field is refused.
    rules: Annotated[str, AfterValidator(_check_rules)] = RULES

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
        words: list[str] = _AFTER_SPACE[pattern].findall(plain)
        return [word for word, _ in ratings.join(words)] if ratings.needs_joining(plain) else words

    def split_with_places(self, text: str) -> list[Token]:
        """Return the same words and marks with their places: see `TokeniserBase.split_with_places`."""
        tokens = super().split_with_places(text)
        left = iter(tokens)
        joined = [(word, list(islice(left, count))) for word, count in ratings.join([token.word for token in tokens])]
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
        plain = _join_apostrophes(ratings.edit(plain, editor), editor)
        is_plain = plain.isascii() and not any(map(plain.__contains__, _RARE))
        return plain, _TOKENS_OF_ASCII if is_plain else _TOKENS

    def fold(self, word: str) -> str:
        """Return the form of a word in vocabularies: of equal ratings the same one, of others as they are."""
        return ratings.find_tenths(word) or ratings.find_row(word) or super().fold(word)

    def is_word(self, word: str) -> bool:
        """Return whether a word of a vocabulary may have a verdict alone: no face, mention, address or stars."""
        return super().is_word(word) and word[0] not in STARS and self.find_class(word) not in CLASSES

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
        if word[0] == "<" and word[-1] == "3":  # a heart, or a broken one
            return POSITIVE_FACE if word[1] == "3" else NEGATIVE_FACE
        is_emoticon = word[0] in ":;=" and len(word) > 1
        if word in POSITIVE_EMOJI or word in POSITIVE_EMOTICONS or is_emoticon and word[-1] in ")]DdPp*":
            return POSITIVE_FACE
        if word in NEGATIVE_EMOJI or word in NEGATIVE_EMOTICONS or is_emoticon or _DASHED_FACE.fullmatch(word):
            return NEGATIVE_FACE
        return POSITIVE_FACE if _LAUGHING_FACE.fullmatch(word) else None

    def find_forms(self, word: str) -> Iterator[str]:
        """Return the forms under which a vocabulary may have a word that it lacks, the best first."""
        first = word[0]
        if first.isalpha():
            lower = word.lower()
            yield lower
            if "@" in lower:
                yield lower.replace("@", "a")
                lower = lower.replace("@", "*")
                yield lower
            if class_ := self.find_class(lower):
                yield class_
            yield from _shorten(lower)
            if lower.endswith("nt"):
                yield f"{lower[:-2]}n't"
        elif first.isdigit():
            whole, point, _ = word.partition(".")
            if tenths := ratings.find_tenths(word):
                yield tenths
            elif point:
                yield whole
        elif row := ratings.find_row(word):
            yield row
        elif first == "*" and len(word) <= ratings.MOST_STARS:
            yield STARS[0] * len(word)
        elif class_ := self.find_class(word):
            yield class_

    def find_endings(self, word: str) -> Iterator[str]:
        """Return the endings of a word; marks have none."""
        return super().find_endings(word) if word[0].isalnum() else iter(())


def _split_hashtag(found: re.Match[str]) -> str:
    if found[1].isdecimal():
        return f" number {found[1]}"
    return " " + _CAMEL.sub(" ", found[1])


def _join_apostrophes(text: str, editor: Editor) -> str:
    if "''" in text:
        text = editor.replace(_DOUBLED, "'", text)
    if " '" in text:
        text = editor.replace(_VERB_APART, _drop_space, text)
    if " n't" in text:
        text = editor.replace(_NOT_APART, _drop_space, text)
    if "n't" in text:
        text = editor.replace(_NOT, "not", text)
    return text


def _drop_space(found: re.Match[str]) -> str:
    return found[0][1:]


def _shorten(word: str) -> Iterator[str]:
    """Return an elongated word with each run of a letter made two letters or one, and laughter with fewer parts."""
    runs = _ELONGATION.split(word)
    letters, between = runs[1::2], runs[::2]
    if 0 < len(letters) <= _MOST_ELONGATIONS:
        for counts in product((2, 1), repeat=len(letters)):
            ends = [letter * count for letter, count in zip(letters, counts, strict=True)]
            yield "".join(part + end for part, end in zip(between, [*ends, ""], strict=True))
    if laughter := _LAUGHTER.fullmatch(word):
        part, rest = laughter.groups()
        if part.startswith(rest):
            yield from (part * 2 + rest, part * 2, part + rest, part)
