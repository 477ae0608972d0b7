"""Parts of reviews: sentences and openings that a transformer labels, and sentences that only tell a story."""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bundle.text import show

SHORTEST, LONGEST = 2, 40  # words of a sentence that is labelled
_OF_AN_OPENING = 15, 50
_OF_A_STORY = 8, 50  # the same for a sentence of a story

_BETWEEN = re.compile(r"""(?<=[.!?])[\s"')]+(?=[A-Z"'(])""")
_WORD = re.compile(r"[a-z']+")
# Words of people who judge: a sentence without any of them tells what happens.
_JUDGING = frozenset(
    "acted acting actor actors actress amazing annoying awesome awful bad badly beautiful beautifully believable best "
    "better bored boring brilliant charming cheap cheesy cinematography classic clever comedy convincing crap credits "
    "cute dialogue directed direction director disappointed disappointing dull dumb effects embarrassing enjoy "
    "enjoyable enjoyed entertaining excellent fails fan fantastic favorite favourite film films flick fun funny good "
    "great hate hated hilarious horrible i interesting lame laughable like liked love loved lousy masterpiece me "
    "mediocre mess movie movies my nice original overrated painful performance performances perfect plot poor poorly "
    "predictable pretentious production rated rating ratings recommend recommended rent ridiculous scenes script "
    "sequel silly slow solid special stars story stunning stupid sucks superb suspense tedious terrible terrific "
    "unfortunately viewer viewers waste wasted watch watchable watched watching weak well wonderful worse worst worth "
    "writing".split()
)


def split_sentences(texts: Iterable[str]) -> Iterator[str]:
    """Yield the sentences of texts as a reader sees them."""
    for text in texts:
        yield from (sentence.strip() for sentence in _BETWEEN.split(show(text)))


def take_short(sentences: Iterable[str], count: int, random: np.random.Generator) -> list[str]:
    """Return up to `count` sentences of 2 to 40 words in random order, each once."""
    found = list(dict.fromkeys(each for each in sentences if SHORTEST <= len(each.split()) <= LONGEST))
    return [found[k] for k in random.permutation(len(found))[:count]]


def take_openings(texts: Sequence[str], count: int, random: np.random.Generator) -> list[str]:
    """Return the first 15 to 50 words of up to `count` random texts, cut anywhere, as a reader sees them."""
    least, most = _OF_AN_OPENING
    chosen = random.permutation(len(texts))[:count]
    return [" ".join(show(texts[k]).split()[: random.integers(least, most + 1)]) for k in chosen]


def take_stories(sentences: Iterable[str]) -> list[str]:
    """Return the sentences that tell a story and judge nothing."""
    least, most = _OF_A_STORY
    return [
        each
        for each in sentences
        if least <= len(each.split()) <= most and not _JUDGING & {*_WORD.findall(each.lower())}
    ]


def join_stories(stories: list[NDArray[np.int32]], length: int, random: np.random.Generator) -> NDArray[np.int32]:
    """Return random sentences one after the other, int32 [length]; `stories` are their ids."""
    chosen: list[NDArray[np.int32]] = []
    while sum(map(len, chosen)) < length:
        chosen.append(stories[int(random.integers(len(stories)))])
    return np.concatenate(chosen)[:length]
