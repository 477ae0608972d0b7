"""Ratings in figures and stars as people write them, from the lowest to the highest."""

from collections.abc import Iterator
from itertools import product

# The probability of positive of 0 to 10 tenths. Reviews on a scale of ten are positive from 7 and negative up to 4.
TARGETS = (0.02, 0.03, 0.05, 0.09, 0.2, 0.4, 0.6, 0.84, 0.93, 0.97, 0.98)

_SCALES = (4, 5, 10, 100)
_STARS = 5
_FRAMES = (
    "{}",
    "{}.",
    "{}!",
    "({})",
    "Rating: {}",
    "Rating: {}.",
    "My rating: {}",
    "Score: {}",
    "Overall: {}",
    "Verdict: {}",
    "Final score {}",
    "{} from me",
    "{} for me.",
    "I give it {}",
    "I give it {}.",
    "I give this {}!",
    "I'd give it {}.",
    "Gave it {}",
    "It gets {} from me.",
    "A {} from me.",
    "So, {}.",
    "We rated it {}.",
    "{} overall.",
)


def list_ratings() -> Iterator[tuple[str, float]]:
    """Yield each frame with each rating, and the probability of positive."""
    for frame, (rating, target) in product(_FRAMES, list(_write())):
        yield frame.format(rating), target


def _write() -> Iterator[tuple[str, float]]:
    """Yield each rating in each way of writing it."""
    for scale in _SCALES:
        for given in range(0, scale + 1, max(1, scale // 10)):
            yield f"{given}/{scale}", _judge(given / scale)
            yield f"{given} out of {scale}", _judge(given / scale)
    for given in range(1, _STARS + 1):
        target = _judge(given / _STARS)
        yield "\u2605" * given + "\u2606" * (_STARS - given), target
        yield "\u2b50" * given, target
        yield f"{given} star{'s' if given > 1 else ''}", target


def _judge(share: float) -> float:
    return TARGETS[round(10 * share)]
