"""`python -m benchmarks.bars`: the main ratios of the service to its peers, from one run of `service`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands import OUT, telling_errors
from benchmarks.comparison import LESS_IS_BETTER, Comparison, Figure, Measurement, Ratio
from benchmarks.contenders import BATCHING_TENSORFLOW, HANDLER, PREDICT, RELEASE
from benchmarks.results import ResultsError, format_figure, render_table

# Each bar is a figure, a number of connections and peers; of several peers the best one counts.
_BARS: tuple[tuple[Figure, int, Sequence[str]], ...] = (
    ("p50 ms", 1, (HANDLER,)),
    ("requests/s", 8, (HANDLER,)),
    ("requests/s", 64, (HANDLER,)),
    ("requests/s", 8, (RELEASE,)),
    ("requests/s", 64, (RELEASE,)),
    ("p99 ms", 64, (RELEASE,)),
    ("p50 ms", 1, (PREDICT,)),
    ("requests/s", 64, BATCHING_TENSORFLOW),
)


def main(out: Annotated[Path, typer.Option(help="The folder with service.json.")] = OUT) -> None:
    """Print the main ratios of the run of `service` whose results are in a folder."""
    with telling_errors():
        print(render_bars(list_bars(read_measurements(out / "service.json"))))


def read_measurements(path: Path) -> list[Measurement]:
    """Return the measurements in a file of `service`.

    Raises:
        ResultsError: the file is missing or has no measurements.
    """
    try:
        return [Measurement(**found) for found in json.loads(path.read_bytes())["measurements"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} has no measurements ({error!r}); run python -m benchmarks.service first") from error


def list_bars(measurements: Sequence[Measurement]) -> list[Ratio]:
    """Return the bars that were measured, bundle by bundle."""
    bundles = dict.fromkeys(found.bundle for found in measurements)
    return [bar for bundle in bundles for bar in _list_bars_of(Comparison(measurements, bundle))]


def render_bars(bars: Sequence[Ratio]) -> str:
    """Return the bars as a table in Markdown."""
    header = ["bundle", "figure", "against", "better", "ours", "theirs", "ours / theirs", "of single rounds"]
    rows = [
        [
            bar.bundle,
            f"{bar.figure} at {bar.concurrency}",
            bar.peer,
            "less" if bar.figure in LESS_IS_BETTER else "more",
            *map(format_figure, (bar.ours, bar.theirs)),
            _format_ratio(bar.ratio),
            f"{_format_ratio(bar.least)}-{_format_ratio(bar.most)}",
        ]
        for bar in bars
    ]
    return render_table(header, rows, 4)


def _format_ratio(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 10 else f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _list_bars_of(comparison: Comparison) -> Iterator[Ratio]:
    for figure, concurrency, peers in _BARS:
        found = [ratio for peer in peers if (ratio := comparison.compare(figure, concurrency, peer)) is not None]
        if found:
            best = max if figure in LESS_IS_BETTER else min
            yield best(found, key=lambda ratio: ratio.ratio)


if __name__ == "__main__":
    typer.run(main)
