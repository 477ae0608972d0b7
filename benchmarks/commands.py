"""The options that the commands share, and errors in one line."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.results import ResultsError
from benchmarks.servers import ServerError
from benchmarks.targets import MissedError
from benchmarks.wrk import WrkError
from bundle.errors import BundleError
from training.errors import TrainingError

Data = Annotated[
    Path | None, typer.Option(help="The IMDB archive or its folder.  [default: downloaded to the user's cache]")
]
Bundles = Annotated[list[str], typer.Option(help="A sentiment bundle; repeatable.")]
BUNDLES = ["sentiment", "imdb-500"]
Seconds = Annotated[int, typer.Option(min=1, max=60, help="Seconds of one run.")]
Rounds = Annotated[int, typer.Option(min=1, max=20, help="Number of rounds; each measures everything once.")]
Release = Annotated[
    Path | None,
    typer.Option(
        envvar="BENCHMARK_RELEASE",
        exists=True,
        file_okay=False,
        help="A checkout of an earlier release to measure too.",
    ),
]
Out = Annotated[Path, typer.Option(help="The folder of the results.")]
OUT = Path("docs/performance")


@contextmanager
def telling_errors() -> Iterator[None]:
    """End the command with status 1 and one line that names the error."""
    try:
        yield
    except (
        WrkError,
        ServerError,
        ResultsError,
        MissedError,
        TrainingError,
        BundleError,
        subprocess.SubprocessError,
    ) as error:
        print(f"error: {error}")
        raise typer.Exit(1) from error
