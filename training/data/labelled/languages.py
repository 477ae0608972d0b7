"""A simple guess at the language of texts, which says "unknown" rather than something wrong."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

UNKNOWN = "unknown"
ENGLISH = "English"

# Common in English, and no common words of other languages in the Latin script.
_ENGLISH_WORDS = frozenset("the and this that it with but not my you very have are they for be as so just".split())
# They are a fifth of the words of film reviews, an eighth of those of short opinions, and under a thirtieth of those of
# German, Dutch, French, Spanish, Italian, Polish and Danish prose.
_LEAST_SHARE = 0.07

_WITHOUT_SPACES = frozenset({"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"})


def guess_script(texts: Iterable[str]) -> str:
    """Return the script of most letters, such as Latin or Cyrillic; "mixed" if none has half, "unknown" without any."""
    counts = Counter(_find_script(letter) for text in texts for letter in text if letter.isalpha())
    if not counts:
        return UNKNOWN
    (script, count), *_ = counts.most_common(1)
    return script if 2 * count >= counts.total() else "mixed"


def is_without_spaces(script: str) -> bool:
    """Return whether words are written without spaces between them in a script of `guess_script`."""
    return script in _WITHOUT_SPACES


def guess_language(texts: Iterable[str]) -> str:
    """Return "English" if common English words are a plausible share of all words, else "unknown"."""
    words = [word for text in texts for word in text.lower().split()]
    common = sum(word.strip(".,;:!?\"'()") in _ENGLISH_WORDS for word in words)
    return ENGLISH if words and common / len(words) >= _LEAST_SHARE else UNKNOWN


@cache
def _find_script(letter: str) -> str:
    """Return the script of a letter: the first word of its name in Unicode."""
    script = unicodedata.name(letter, UNKNOWN).partition(" ")[0]
    return {"CJK": "Han", UNKNOWN: UNKNOWN}.get(script, script.capitalize())
