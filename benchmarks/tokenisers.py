"""`python -m benchmarks.tokenisers`: the time that each tokeniser takes for reviews, beside that of version 6.

Each review is split by all tokenisers one after the other, several times, and the least time counts. So other work on
the machine changes the times, but hardly the ratios.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer

from benchmarks import machine, results
from benchmarks.commands import OUT, Data, Out, telling_errors
from benchmarks.results import Panel, render_table
from benchmarks.reviews import sample
from bundle.splitting import TokeniserBase
from training.data.review_coding import TOKENISERS

BASE = "tokens"  # the tokeniser of version 6 of `sentiment`
_TIMES = 5


@dataclass(frozen=True)
class Timed:
    """One review: its characters, and the microseconds of each tokeniser."""

    characters: int
    microseconds: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """The median of the microseconds for a review, and median and tenths of the ratios of times for the same review."""

    microseconds: float
    ratio: float
    low: float
    high: float


def main(
    data: Data = None,
    reviews: Annotated[int, typer.Option(min=10, max=25_000, help="Test reviews to split.")] = 1500,
    out: Out = OUT,
) -> None:
    """Split reviews with every tokeniser of this project, alternately, and write times and ratios."""
    with telling_errors():
        texts = sample(data, reviews)
        constant = machine.describe() | {"plan": {"reviews": reviews, "times": _TIMES, "base": BASE}}
        summaries = summarise([measure(text, TOKENISERS) for text in texts])
    results.save(out / "tokenisers.json", constant | {name: asdict(one) for name, one in summaries.items()})
    _show(summaries, len(texts), out)


def measure(text: str, tokenisers: Mapping[str, TokeniserBase]) -> Timed:
    """Return the least of several times that each tokeniser takes for a text; they take turns."""
    least = dict.fromkeys(tokenisers, float("inf"))
    for _ in range(_TIMES):
        for name, tokeniser in tokenisers.items():
            started = time.perf_counter()
            tokeniser.split(text)
            least[name] = min(least[name], 1e6 * (time.perf_counter() - started))
    return Timed(len(text), {name: round(value, 2) for name, value in least.items()})


def summarise(timed: Sequence[Timed]) -> dict[str, Summary]:
    """Return the figures of each tokeniser over all reviews."""
    found = {}
    for name in timed[0].microseconds:
        ratios = [one.microseconds[name] / one.microseconds[BASE] for one in timed]
        tenths = quantiles(ratios, n=10)
        times = median(one.microseconds[name] for one in timed)
        found[name] = Summary(*(round(value, 3) for value in (times, median(ratios), tenths[0], tenths[-1])))
    return found


def _show(summaries: Mapping[str, Summary], reviews: int, out: Path) -> None:
    ratios = {name: summary.ratio for name, summary in summaries.items()}
    panel = Panel("Time for a review", f"median ratio to {BASE}", ratios)
    results.draw_bars(out / "tokenisers.png", [("Tokenisers", [panel])], ["readable"])
    table = render_table(
        ["tokeniser", "us a review, median", f"ratio to {BASE}, median", "of the lowest tenth", "of the highest tenth"],
        [
            [name, f"{one.microseconds:.0f}", *(f"{value:.2f}" for value in (one.ratio, one.low, one.high))]
            for name, one in summaries.items()
        ],
    )
    results.report(out / "tokenisers", [f"{reviews:,} test reviews, split by each tokeniser alternately", table])


if __name__ == "__main__":
    typer.run(main)
