"""The alphabet datasets: runs of consecutive letters and the letter that comes next."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.letters import ALPHABET
from training.recipes.letters import LetterSettings


@dataclass(frozen=True)
class Pattern:
    """A run of letters and the letter that follows it."""

    sequence: str
    target: str


def make_patterns(settings: LetterSettings) -> list[Pattern]:
    """Return the patterns of a recipe."""
    match settings.patterns:
        case "all":
            return list(all_runs(settings.length))
        case "alphabet":
            return list(runs_within(settings.length))
        case "prefixes":
            return [next(runs_within(length)) for length in range(1, settings.length + 1)]
        case "random":
            return list(random_runs(settings.examples, settings.length, settings.seed))


def copy_short_runs(patterns: Iterable[Pattern], copies: int) -> list[Pattern]:
    """Repeat a run of n letters `copies / n` times, at least once.

    A long run overlaps with many others, but a single letter is seen only once; the copies compensate for this.
    """
    return [pattern for pattern in patterns for _ in range(max(1, copies // len(pattern.sequence)))]


def all_runs(longest: int) -> Iterator[Pattern]:
    """Yield the run from every letter, of every length from 1 to `longest`, wrapping round from Z to A."""
    letters = len(ALPHABET)
    for length in range(1, longest + 1):
        for start in range(letters):
            run = [ALPHABET[(start + step) % letters] for step in range(length + 1)]
            yield Pattern("".join(run[:-1]), run[-1])


def runs_within(length: int) -> Iterator[Pattern]:
    """Yield all runs of `length` letters within the alphabet that a letter follows, from A on."""
    for end in range(length, len(ALPHABET)):
        yield Pattern(ALPHABET[end - length : end], ALPHABET[end])


def random_runs(count: int, longest: int, seed: int) -> Iterator[Pattern]:
    """Yield runs drawn as the reference recipe draws them.

    The start is uniform over the first 24 letters, the end uniform over the `longest` letters from there on,
    never past Y. NumPy's legacy generator, because the reference uses it; its stream is frozen.
    """
    random = np.random.RandomState(seed)
    for _ in range(count):
        start = random.randint(len(ALPHABET) - 2)
        end = random.randint(start, min(start + longest, len(ALPHABET) - 1))
        yield Pattern(ALPHABET[start : end + 1], ALPHABET[end + 1])


def hash_patterns(patterns: Sequence[Pattern]) -> str:
    """Return the SHA-256 of patterns, including their order."""
    text = "".join(f"{pattern.sequence}>{pattern.target}\n" for pattern in patterns)
    return hashlib.sha256(text.encode()).hexdigest()
