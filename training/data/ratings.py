"""Ratings in figures and stars as people write them, and numbers that are no ratings."""

from collections.abc import Iterator
from itertools import product

# The probability of positive of 0 to 10 tenths. Reviews on a scale of ten are positive from 7 and negative up to 4.
TARGETS = (0.02, 0.03, 0.05, 0.09, 0.2, 0.4, 0.6, 0.84, 0.93, 0.97, 0.98)
NEUTRAL, BEST, WORST = 0.5, 0.95, 0.05

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
_FRAMES_OF_A_RARE_FORM = 4

# Numbers that say nothing: alone, in names of parts, in dates, hours, prices and amounts.
_NUMBERS = (*map(str, range(13)), "20", "42", "50", "100", "304")
_NUMBERED = (
    "{}",
    "{}.",
    "({})",
    "number {}",
    "#{}",
    "Season {}",
    "Season {}.",
    "Episode {}",
    "Chapter {}",
    "Chapter {}.",
    "Part {}",
    "Part {}.",
    "Volume {}",
    "Book {}",
    "Page {}",
    "Level {}",
    "Room {}",
    "Room {}.",
    "Table {}",
    "Platform {}",
    "Day {}",
    "Step {}",
    "Version {}.0",
    "Size {}",
    "We had room {}.",
    "I am on chapter {}.",
    "Season {} is out in May.",
    "Part {} of the series.",
    "It has {} rooms.",
    "There are {} of them.",
    "It takes {} minutes.",
    "It costs {} dollars.",
    "${}",
    "{} euros a night",
    "{}:30",
    "Open until {} p.m.",
    "{} May",
    "May {}, 2019",
    "{}/11/2018",
    "We were {} people.",
)
_YEARS = tuple(map(str, range(1932, 2026, 6)))
_IN_A_YEAR = ("{}", "({})", "in {}", "It came out in {}.", "Summer {}")
_NO_RATINGS = ("24/7", "9/11", "50/50", "20/20", "1/2", "360", "1080p", "007", "2.0", "3.14")

# What is number one may be the best or the worst.
_FIRST = ("#1", "number one", "number 1", "No. 1")
_OF_THE_FIRST = (
    ("The {} film of the year", "The {} flop of the year"),
    ("Still my {}.", "Still my {} regret."),
    ("{} in my book!", "{} on my list of places to avoid!"),
    ("The {} hotel in town.", "The {} tourist trap in town."),
    ("My {} reason to come back.", "My {} reason to stay away."),
    ("It is the {} choice for families.", "It is the {} mistake of families."),
    ("This is {} for a reason.", "This is {} of the year's worst."),
    ("{} fan right here", "{} waste of money"),
)


def list_ratings() -> Iterator[tuple[str, float]]:
    """Yield each frame with each rating, some frames with each rare form, and the probability of positive."""
    for frame, (rating, target) in product(_FRAMES, list(_write())):
        yield frame.format(rating), target
    step = len(_FRAMES) // _FRAMES_OF_A_RARE_FORM
    for number, (rating, target) in enumerate(_write_rarely()):
        for frame in _FRAMES[number % step :: step]:
            yield frame.format(rating), target


def list_numbers() -> Iterator[tuple[str, float]]:
    """Yield texts with numbers that are no ratings, each once, and the probability of positive.

    Most are neutral; what is number one is as often good as bad.
    """
    neutral = [frame.format(number) for frame, number in product(_NUMBERED, _NUMBERS)]
    neutral += [frame.format(year) for frame, year in product(_IN_A_YEAR, _YEARS)]
    for text in dict.fromkeys([*neutral, *_NO_RATINGS]):
        yield text, NEUTRAL
    for (good, bad), first in product(_OF_THE_FIRST, _FIRST):
        for frame, target in ((good, BEST), (bad, WORST)):
            yield frame.format(first), target


def _write() -> Iterator[tuple[str, float]]:
    """Yield each rating in each usual form."""
    for scale in _SCALES:
        for given in range(0, scale + 1, max(1, scale // 10)):
            yield f"{given}/{scale}", _judge(given / scale)
            yield f"{given} out of {scale}", _judge(given / scale)
    for given in range(1, _STARS + 1):
        target = _judge(given / _STARS)
        yield "\u2605" * given + "\u2606" * (_STARS - given), target
        yield "\u2b50" * given, target
        yield f"{given} star{'s' if given > 1 else ''}", target


def _write_rarely() -> Iterator[tuple[str, float]]:
    """Yield each rating in each rare form: numbers of stars, spaced stars, halves."""
    for halves in range(2 * _STARS + 1):
        given, target = f"{halves / 2:g}", _judge(halves / 2 / _STARS)
        forms = [f"{given}\u2605", f"{given}\u2b50", f"{given}\u2605/{_STARS}", f"{given} \u2605 out of {_STARS}"]
        forms += [f"\u2b50 {halves / 2:.1f}", *([f"{given}/{_STARS}", f"{given} stars"] if halves % 2 else [])]
        yield from ((form, target) for form in forms)
    for stars in range(1, _STARS):
        yield "\u2605" * stars + "\u00bd", _judge((stars + 0.5) / _STARS)
    for stars in range(1, _STARS + 1):
        yield " ".join("\u2605" * stars + "\u2606" * (_STARS - stars)), _judge(stars / _STARS)
    for tenths in range(10):
        yield from ((f"{tenths}.5/10", _judge((tenths + 0.5) / 10)), (f"{tenths} / 10", _judge(tenths / 10)))
    yield from (("0 stars", TARGETS[0]), ("10 / 10", TARGETS[-1]), ("11/10", TARGETS[-1]))


def _judge(share: float) -> float:
    return TARGETS[int(10 * share + 0.5)]
