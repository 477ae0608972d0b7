"""The ratios that `bars` prints, from measurements that are made up."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import bars
from benchmarks.comparison import Comparison, Measurement
from benchmarks.contenders import HANDLER, OURS, PREDICT, RELEASE

RUNNER = CliRunner()
COMMAND = typer.Typer()
COMMAND.command()(bars.main)


def measure(
    server: str, number: int, concurrency: int, throughput: float, p50: float | None, bundle: str = "sentiment"
) -> Measurement:
    p99 = 3 * p50 if p50 else None
    return Measurement(
        number, bundle, server, "mixed", concurrency, 100, 4, throughput, p50, p50, p99, p99, {"status": 0}, 100
    )


# The machine is half as fast in the second round, and stands still for one server in the third.
MEASUREMENTS = [
    *(measure(OURS, number, 1, 600, p50) for number, p50 in ((1, 2.0), (2, 4.0), (3, 2.0))),
    *(measure(HANDLER, number, 1, 600, p50) for number, p50 in ((1, 4.0), (2, 8.0), (3, 40.0))),
    *(measure(OURS, number, 64, throughput, 5) for number, throughput in ((1, 900), (2, 450), (3, 1000))),
    *(measure(RELEASE, number, 64, throughput, 10) for number, throughput in ((1, 600), (2, 300), (3, 500))),
    *(measure("mlserver", number, 64, throughput, 20) for number, throughput in ((1, 90), (2, 45), (3, 100))),
    *(measure("bentoml", number, 64, throughput, 20) for number, throughput in ((1, 180), (2, 90))),
    measure(PREDICT, 1, 1, 5, None),
    measure(OURS, 1, 8, 500, 5, "imdb-500"),
    measure(HANDLER, 1, 8, 250, 5, "imdb-500"),
]


def test_ratios_are_medians_of_those_within_a_round() -> None:
    latency, *_ = bars.list_bars(MEASUREMENTS)
    assert (latency.figure, latency.concurrency, latency.peer) == ("p50 ms", 1, HANDLER)
    assert (latency.ratio, latency.least, latency.most, latency.rounds) == (0.5, 0.05, 0.5, 3)
    assert (latency.ours, latency.theirs) == (2, 8)


def test_the_best_of_several_peers_counts_in_the_rounds_it_has() -> None:
    best = next(bar for bar in bars.list_bars(MEASUREMENTS) if bar.peer in ("mlserver", "bentoml"))
    assert (best.peer, best.ratio, best.rounds) == ("bentoml", 5, 2)


def test_what_was_not_measured_is_left_out() -> None:
    found = [(bar.bundle, bar.figure, bar.concurrency, bar.peer) for bar in bars.list_bars(MEASUREMENTS)]
    assert found == [
        ("sentiment", "p50 ms", 1, HANDLER),
        ("sentiment", "requests/s", 64, RELEASE),
        ("sentiment", "p99 ms", 64, RELEASE),
        ("sentiment", "requests/s", 64, "bentoml"),
        ("imdb-500", "requests/s", 8, HANDLER),
    ]


def test_the_command_reads_what_service_wrote(tmp_path: Path) -> None:
    written = {"measurements": [asdict(measurement) for measurement in MEASUREMENTS]}
    (tmp_path / "service.json").write_text(json.dumps(written))
    told = RUNNER.invoke(COMMAND, ["--out", str(tmp_path)])
    assert told.exit_code == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.output.splitlines()]
    assert cells[0][6] == "ours / theirs"
    assert cells[2] == ["sentiment", "p50 ms at 1", HANDLER, "less", "2.00", "8.00", "0.50", "0.05-0.50"]


@pytest.mark.parametrize("contents", [None, "{", "{}", '{"measurements": [{}]}'])
def test_without_results_it_says_which_command_writes_them(tmp_path: Path, contents: str | None) -> None:
    if contents is not None:
        (tmp_path / "service.json").write_text(contents)
    told = RUNNER.invoke(COMMAND, ["--out", str(tmp_path)])
    assert told.exit_code == 1
    assert "benchmarks.service" in told.output


def test_tables_have_every_server_and_figure() -> None:
    (title, table), *others = Comparison(MEASUREMENTS, "sentiment").tables()
    assert title == "sentiment, mixed texts" and not others
    assert [row.split("|")[1].strip() for row in table.splitlines()[2:]] == [
        OURS,
        HANDLER,
        RELEASE,
        "mlserver",
        "bentoml",
        PREDICT,
    ]
