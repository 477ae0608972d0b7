"""Ratings in figures and in stars: marks of one rating become one token, and equal ratings have one form."""

import re
from collections.abc import Sequence
from typing import Final

from bundle.editing import Editor
from bundle.text import STARS

EMPTY_STARS: Final = "☆✩"
MOST_STARS: Final = 5  # a row of stars without empty ones is a rating out of as many
SCALES: Final = ("4", "5", "6", "10", "20", "50", "100")  # 24/7 is no rating
NO_RATINGS: Final = ("20/20", "50/50", "1/4", "3/4")  # of eyes and of chances; mostly of cups and inches

# In texts: "8 / 10" is 8/10, "3★/5" is 3/5, "4,5★" and "★4,5" have a decimal comma, and "★4.5" is 4.5/5.
_SPACED = re.compile(r"(?<![\d/.,])(\d{1,3}(?:[.,]\d{1,2})?) / (?=(?:5|10|100)(?![\w/]|[.,]\d| /))")
_STARS_OF = re.compile(rf"(?<=\d) ?[{STARS}] ?/ ?(?=\d)")
_DECIMAL_COMMA = re.compile(rf"(?<![\d.,])(\d),(?=\d{{1,2}} ?[{STARS}])|(?<=[{STARS}])(\d),(?=\d{{1,2}}(?!\d))")
_STAR_BEFORE = re.compile(rf"(?<![\w{STARS}])[{STARS}]([0-5](?:\.\d{{1,2}})?)(?![\w/]|[.,]\d)")
# In tokens.
_OUT_OF = re.compile(r"out[\W_]++of[\W_]++\d")  # and perhaps marks between: see `_join_out_of`
_ONE_STAR = re.compile(rf"[{STARS}](?:\.\d+)?[{EMPTY_STARS}]*")
# The tokens of a row: single stars, one with a fraction or with empty stars behind it; or any row, and empty stars.
_ROW = re.compile("s+f?e*|[fr]e*|.")
_NUMBER = re.compile(r"\d++(?:\.\d++)?")
_GIVEN = re.compile(r"\d++(?:[.,]\d++)?")
_OF_STARS = re.compile(r"\d{1,2}(?:\.\d++)?")
_AFTER_A_STAR = re.compile(r"[0-5]\.\d++")

# All that decides how ratings are read; a manifest has its digest.
RULES: Final = (
    EMPTY_STARS,
    str(MOST_STARS),
    *SCALES,
    *NO_RATINGS,
    *(
        pattern.pattern
        for pattern in (
            _SPACED,
            _STARS_OF,
            _DECIMAL_COMMA,
            _STAR_BEFORE,
            _OUT_OF,
            _ONE_STAR,
            _ROW,
            _NUMBER,
            _GIVEN,
            _OF_STARS,
            _AFTER_A_STAR,
        )
    ),
)

Joined = list[tuple[str, int]]  # words, each with the number of tokens that it is made of


def has_stars(text: str) -> bool:
    """Return whether a text has a star that is not empty."""
    return not text.isascii() and any(map(text.__contains__, STARS))


def edit(text: str, editor: Editor) -> str:
    """Return a text in which the marks of a rating stand together."""
    if " / " in text:
        text = editor.replace(_SPACED, r"\1/", text)
    if has_stars(text):
        text = editor.replace(_STARS_OF, "/", text)
        text = editor.replace(_DECIMAL_COMMA, r"\1\2.", text)
        text = editor.replace(_STAR_BEFORE, rf"\1/{MOST_STARS}", text)
    return text


def needs_joining(text: str) -> bool:
    """Return whether `join` may change the tokens of an edited text."""
    return _OUT_OF.search(text) is not None or has_stars(text)


def join(tokens: Sequence[str]) -> Joined:
    """Return the words that tokens make, each with their number.

    Single stars beside each other are one row: "★", "★", "☆" are "★★☆". "4", "out", "of", "5" are "4/5", and so are
    "4", "stars", "out", "of", "5". "4.5", "★" are "4.5/5", "8", "★" are "8/10". A star beside a rating is a part of it.
    """
    return _join_one_star(_join_out_of(_join_rows(tokens)))


def find_tenths(word: str) -> str | None:
    """Return a rating in figures as tenths, such as 8/10 for 4/5; 10/10 for more than the whole; else None."""
    given, slash, most = word.partition("/")
    if not slash or most not in SCALES or word in NO_RATINGS or not _GIVEN.fullmatch(given):
        return None
    return _to_tenths(float(given.replace(",", ".")) / int(most))


def find_row(word: str) -> str | None:
    """Return the form of a row of stars, such as ★★★ for ★★★☆☆ and for ⭐⭐⭐, ★★★.5 for ★★★.5☆; else None.

    It has whole or half stars of five.
    """
    if word[0] not in STARS:
        return None
    halves = max(2, int(2 * MOST_STARS * _count_stars(word) + 0.5))
    return STARS[0] * (halves // 2) + ".5" * (halves % 2)


def find_tenths_of_row(word: str) -> str | None:
    """Return a row of stars as tenths, such as 6/10 for ★★★; else None."""
    return _to_tenths(_count_stars(word)) if word[0] in STARS else None


def _to_tenths(share: float) -> str:
    return f"{int(10 * min(share, 1) + 0.5)}/10"


def _count_stars(row: str) -> float:
    """Return the share of stars that are given, at most 1: of ★★★☆☆ and ★★★ 0.6, of ★★★.5 0.7."""
    given, empty = (sum(map(row.count, stars)) for stars in (STARS, EMPTY_STARS))
    fraction = "".join(character for character in row if character.isascii())
    most = given + bool(fraction) + empty if empty else MOST_STARS
    return min((given + float(fraction or 0)) / most, 1)


def _join_rows(tokens: Sequence[str]) -> Joined:
    places = [found.span() for found in _ROW.finditer("".join(map(_name_kind, tokens)))]
    return [("".join(tokens[first:end]), end - first) for first, end in places]


def _name_kind(token: str) -> str:
    """Return the letter of a kind of token: see `_ROW`."""
    if token[0] in EMPTY_STARS:
        return "e"
    if token[0] not in STARS:
        return "x"
    return "s" if len(token) == 1 else "f" if _ONE_STAR.fullmatch(token) else "r"


def _join_out_of(words: Joined) -> Joined:
    joined: Joined = []
    for word in words:
        joined.append(word)
        if word[0] in SCALES and [before for before, _ in joined[-3:-1]] == ["out", "of"]:
            length = 5 if joined[-4:-3] and joined[-4][0] in ("star", "stars", *STARS) else 4
            given = joined[-length][0] if len(joined) >= length else ""
            if _NUMBER.fullmatch(given):
                count = sum(count for _, count in joined[-length:])
                joined[-length:] = [(f"{given}/{word[0]}", count)]
    return joined


def _join_one_star(words: Joined) -> Joined:
    joined: Joined = []
    for word in words:
        joined.append(word)
        # A rating may stand behind a star.
        while len(joined) > 1 and (rating := _pair(joined[-2][0], joined[-1][0])):
            joined[-2:] = [(rating, joined[-2][1] + joined[-1][1])]
    return joined


def _pair(first: str, second: str) -> str | None:
    """Return the rating that a star and a number or a rating beside it are; None for other words."""
    if second in (*STARS,):
        if find_tenths(first):
            return first
        if _OF_STARS.fullmatch(first) and float(first) <= 2 * MOST_STARS:
            return f"{first}/{MOST_STARS if float(first) <= MOST_STARS else 2 * MOST_STARS}"
    elif first in (*STARS,):
        if find_tenths(second):
            return second
        if _AFTER_A_STAR.fullmatch(second) and float(second) <= MOST_STARS:
            return f"{second}/{MOST_STARS}"
    return None
