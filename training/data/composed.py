"""Composed sentences: frames filled with words of either sentiment, mostly negations and contrasts.

A frame is a sentence with slots. Each is filled twice with the same words, but for the opinion: once with a positive
word, once with its negative counterpart. Frames and words have two parts: those to train on, and those that are only
reported on.

Slots: `{a}` and `{a2}` are adjectives, `{s}` a superlative, `{n}` a noun, `{v}` a verb in the past, `{V}` the same in
the present, `{x}` an adjective and `{y}` one of the other sentiment, `{thing}` and `{thing2}` what is spoken of;
`{name}`, `{nation}`, `{faith}`, `{person}` and `{director}` say who, which must not matter; `{an a}` has an article.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "report"]

FOLDER = Path(__file__).parent / "composed"

# The probability of positive, by kind, with a positive and with a negative word (in `{x}` for a contrast). What is "not
# good" is bad; what is "not bad" is less surely good.
TARGETS = {
    "plain": (0.96, 0.04),
    "negation": (0.10, 0.80),
    "double-negation": (0.82, 0.18),
    "contrast": (0.88, 0.12),
    "expectation": (0.10, 0.80),
    "wish": (0.12, 0.5),  # who wishes for something bad?
    "neutral": (0.5, 0.5),
}

_WHO = ("name", "nation", "faith", "person", "director")

_SLOT = re.compile(r"\{(an )?(\w+)\}")
# By the sound: an honest and an American, a useful, a Ukrainian, a European and a one-off film.
_AFTER_AN = re.compile(r"(?!use|uni[cfoqstv]|uk|eu|one\b|once\b)[aeiou]|heir|honest|honou?r|hour", re.IGNORECASE)


@dataclass(frozen=True)
class Sentence:
    """A composed sentence, and the probability of positive that it should have."""

    text: str
    target: float
    kind: str


def compose(part: Part, random: np.random.Generator) -> Iterator[tuple[Sentence, Sentence]]:
    """Yield pairs of sentences without end: the frames in random order, then again with other words.

    Plain frames come several times, so that they are about as many as the others: words that occur mostly negated would
    take the meaning of the negation.
    """
    frames, words = _read_frames(part), _read_words(part)
    plain = [frame for frame in frames if frame[0] == "plain"]
    frames = frames + plain * ((len(frames) - len(plain)) // len(plain) - 1)
    while True:
        for number in random.permutation(len(frames)):
            kind, frame = frames[number]
            chosen = {kind: random.permutation(len(rows)) for kind, rows in words.items()}
            # The two sentences of a neutral pair differ in who and what they are about.
            pair = [
                Sentence(_fill(frame, words, chosen, side, side if kind == "neutral" else 0), TARGETS[kind][side], kind)
                for side in (0, 1)
            ]
            yield pair[0], pair[1]


def _fill(
    frame: str, words: dict[str, list[tuple[str, str]]], chosen: Mapping[str, NDArray[np.intp]], side: int, about: int
) -> str:
    """Return a frame with its slots filled; `side` 0 is positive, `about` is the number of who and what it is about."""
    (adjective, second), noun, verb, thing = (
        [words[kind][number] for number in chosen[kind][:2]] for kind in ("adjective", "noun", "verb", "thing")
    )
    present, past = verb[0][side].split("/")
    superlative = words["superlative"][chosen["superlative"][0]]
    slots: dict[str, str] = {
        "a": adjective[side],
        "a2": second[side],
        "x": adjective[side],
        "y": second[1 - side],
        "s": superlative[side],
        "n": noun[0][side],
        "v": past,
        "V": present,
        "thing": thing[about][0],
        "thing2": thing[about][1],
    }
    slots |= {who: words[who][chosen[who][about]][0] for who in _WHO if who in words}

    def replace(found: re.Match[str]) -> str:
        word = slots[found[2]]
        if not found[1]:
            return word
        return f"{'an' if _AFTER_AN.match(word) else 'a'} {word}"

    text = _SLOT.sub(replace, frame)
    return text[0].upper() + text[1:]


@cache
def _read_frames(part: Part) -> list[tuple[str, str]]:
    with (FOLDER / "frames.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["kind"], row["frame"]) for row in rows if row["part"] == part]


@cache
def _read_words(part: Part) -> dict[str, list[tuple[str, str]]]:
    words = defaultdict(list)
    with (FOLDER / "words.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["part"] == part:
                words[row["class"]].append((row["positive"], row["negative"]))
    return dict(words)
