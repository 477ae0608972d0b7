"""`python -m app score`: the options of the command, and its exit statuses."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType

import click

from app.errors import ReaderLeftError, ScoringError, ServiceError
from app.scoring.display import Display, count_rows
from app.scoring.figures import describe
from app.scoring.job import ClusterJob, Job, find_columns, is_stream
from app.scoring.journal import State
from app.scoring.run import score
from app.scoring.scorer import Scorer
from app.settings import Settings
from bundle.errors import BundleError
from tables.encodings import check_encoding
from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import FileInput, Input, PipeInput

STOPPED, PUT_ASIDE = 1, 3
KEY_VARIABLE = "LSTM_CLIENT_KEY"  # as of `app.client`, which is imported only to ask a service

_PIPE = "-"


class _Ended(BaseException):
    """A signal ended the run; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _VersionType(click.ParamType[int | str]):
    """The number of a version, or a label."""

    name = "version"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:  # noqa: ARG002
        """Return a number as such."""
        return int(value) if value.isdecimal() else value


class _EncodingType(click.ParamType[str]):
    """The name of an encoding."""

    name = "encoding"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as Python has it."""
        try:
            return check_encoding(value)
        except TableError as error:
            self.fail(str(error), param, ctx)


@click.command(
    help="Score a file: add what a model answers to each text as columns. INPUT is CSV, TSV, JSON Lines (each also as "
    ".gz) or Parquet, OUTPUT has the same format; - is standard input or output. A run that was stopped goes on when "
    "the same command is run again.",
    epilog="Exit status: 0 all rows are scored; 1 stopped, the message says why; 2 wrong options; 3 all rows are done, "
    "and some of them are in the file of --bad-rows; 130 and 143 ended by SIGINT (Ctrl-C) and SIGTERM; 141 the "
    "reader of the output has ended.",
)
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option("--text-column", metavar="NAME", help="Column of the texts; by default found by its usual names.")
@click.option("--label-column", metavar="NAME", help="Column of labels: prints accuracy, confusion and calibration.")
@click.option("--model", metavar="NAME", help="Model; by default the one that answers sentiments, or the only one.")
@click.option("--version", type=_VersionType(), metavar="VERSION", help="Number or label; by default the one in use.")
@click.option("--models", metavar="FOLDER", help="Folder of the bundles; with --ray also an address.")
@click.option("--url", help=f"Ask a running service instead; its API key is read from the variable {KEY_VARIABLE}.")
@click.option("--prefix", default="", metavar="TEXT", help="What the names of the added columns begin with.")
@click.option(
    "--bad-rows",
    metavar="FILE",
    help="File for rows that cannot be scored, as JSON Lines; without it the first one stops the run.",
)
@click.option(
    "--encoding",
    type=_EncodingType(),
    metavar="NAME",
    help="Of the input, such as cp1252; by default UTF-8 or its mark.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Score on the cluster of Ray at an address, such as --ray=auto; without one, Ray is started here, and the "
    "option comes last. INPUT, OUTPUT and FILE of --bad-rows are then folders, or addresses such as "
    "s3://bucket/folder.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="With --ray, the most rows of a file of OUTPUT.  [default: 8192]",
)
@click.pass_context
def _score(
    context: click.Context,
    source: str,
    output: str,
    text_column: str | None,
    label_column: str | None,
    model: str | None,
    version: int | str | None,
    models: str | None,
    url: str | None,
    prefix: str,
    bad_rows: str | None,
    ray: str | None,
    part_rows: int | None,
    encoding: str | None,
) -> None:
    """Score a file, and end with a status."""
    settings: Settings = context.obj
    target = None if output == _PIPE else Path(output)
    if ray and (url or label_column or _PIPE in (source, output, bad_rows)):
        raise click.UsageError("--ray reads and writes no pipe, and takes neither --url nor --label-column")
    if part_rows and not ray:
        raise click.UsageError("--part-rows is for --ray")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    display = Display()
    try:
        if ray:
            bundles = models or str(settings.models)
            cluster_job = ClusterJob(
                source, output, bad_rows, text_column, encoding, prefix, part_rows, bundles, model, version
            )
            state = _import_cluster().score_files(ray, cluster_job, settings, display)
        else:
            if models:
                settings = settings.model_copy(update={"models": Path(models)})
            with _open_input(source) as opened:
                table = open_table(opened, encoding)
                columns = find_columns(table, text_column, label_column)
                job = Job(target, columns, prefix, Path(bad_rows) if bad_rows else None)
                state = score(table, job, lambda: _open_scorer(settings, model, version, url), display)
    except _Ended as ended:
        goes_on = ray or (not is_stream(target) and Path(source).is_file())
        display.say(f"stopped; {'run the same command again to go on' if goes_on else 'start anew'}")
        sys.exit(128 + ended.number)
    except ReaderLeftError:  # such as `head`, which has what it wants
        sys.exit(128 + signal.SIGPIPE)
    except (ServiceError, BundleError, TableError) as error:
        display.say(f"error: {error}")
        sys.exit(STOPPED)
    _report(state, target, bad_rows, display)
    sys.exit(PUT_ASIDE if state.bad else 0)


def make_command() -> click.Command:
    """Return the command."""
    return _score


def _end(number: int, _: FrameType | None) -> None:
    raise _Ended(number)


@contextmanager
def _open_input(source: str) -> Iterator[Input]:
    """Open a file, or a pipe, which may have a name, too."""
    path = Path(source)
    if source != _PIPE and path.is_file():
        yield FileInput(path)
        return
    try:
        pipe = open(0 if source == _PIPE else path, "rb", closefd=source != _PIPE)
    except OSError as error:
        raise TableError(f"{source} cannot be read ({error.strerror}); name a file, or - for standard input") from error
    with pipe:
        yield PipeInput(pipe, "standard input" if source == _PIPE else source)


def _open_scorer(settings: Settings, name: str | None, version: int | str | None, url: str | None) -> Scorer:
    """Return what answers. Only one of the two is imported: a service is asked without an engine."""
    if url:
        try:
            from app.scoring.service import ServiceScorer
        except ModuleNotFoundError as error:
            raise ScoringError(
                "--url needs httpx; install it with `pip install httpx`, or score without --url"
            ) from error
        return ServiceScorer(url, name, version, os.environ.get(KEY_VARIABLE))
    from app.scoring.bundles import find_bundle
    from app.scoring.workers import Workers

    return Workers(find_bundle(settings, name, version), settings)


def _import_cluster() -> ModuleType:
    """Return the module that scores on a cluster.

    Raises:
        ScoringError: Ray is not installed.
    """
    try:
        return import_module("cluster.command")
    except ModuleNotFoundError as error:
        raise ScoringError(
            f"--ray needs Ray, and there is no module {error.name}; install it (pip install 'lstm-serve[ray]')"
        ) from error


def _report(state: State, output: Path | None, bad_rows: str | None, display: Display) -> None:
    """Print what was done: the figures on standard output, unless the rows are there."""
    display.say(display.describe_end(state.scored))
    if state.bad:
        display.say(f"{count_rows(state.bad)} put aside in {bad_rows}")
    if state.figures:
        for line in describe(state.figures):
            click.echo(line, err=is_stream(output))
