"""What the commands share: options, and errors told in a line."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.servers import ServerError
from benchmarks.wrk import WrkError
from bundle.errors import BundleError
from training.errors import TrainingError

Data = Annotated[
    Path | None, typer.Option(help="The IMDB archive or its folder.  [default: downloaded to the user's cache]")
]
Bundles = Annotated[list[str], typer.Option(help="A sentiment bundle; repeatable.")]
BUNDLES = ["sentiment", "imdb-500"]
Seconds = Annotated[int, typer.Option(min=1, max=60, help="Seconds of one run.")]
Rounds = Annotated[int, typer.Option(min=1, max=20, help="How often everything is measured.")]
Out = Annotated[Path, typer.Option(help="The folder of the results.")]
OUT = Path("docs/performance")


@contextmanager
def telling_errors() -> Iterator[None]:
    """End the command with status 1 where what it needs is missing or fails, and say what."""
    try:
        yield
    except (WrkError, ServerError, TrainingError, BundleError, subprocess.SubprocessError) as error:
        print(f"error: {error}")
        raise typer.Exit(1) from error
