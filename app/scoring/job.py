"""What to do with a table. Places that cannot be right are found before anything is read or started."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from app.errors import ScoringError
from app.scoring.answers import Columns
from app.scoring.display import count_rows
from app.scoring.journal import Journal, State
from app.scoring.sinks import find_part
from tables.columns import TEXT_NAMES, check_columns, find_column
from tables.errors import show_names
from tables.table import Table

_GZIP_SUFFIX = ".gz"


@dataclass(frozen=True)
class Job:
    """What to do with a table.

    Attributes:
        output: the file to write, or a pipe or a device; None for standard output.
        columns: with the texts, and with labels to compare the answers with if there are any: see `find_columns`.
        prefix: what the names of the added columns begin with.
        bad_rows: the file for rows that cannot be scored; without it the first one ends the run.
    """

    output: Path | None
    columns: tuple[str] | tuple[str, str]
    prefix: str = ""
    bad_rows: Path | None = None

    @property
    def is_packed(self) -> bool:
        """Whether the output is compressed, by its name."""
        return self.output is not None and self.output.name.lower().endswith(_GZIP_SUFFIX)


@dataclass(frozen=True)
class ClusterJob:
    """What to do with a folder of files on a cluster. Places are paths, or addresses of an object store.

    Attributes:
        source: the files, or one file.
        output: the folder of the scored parts.
        bad_rows: the folder for rows that cannot be scored; without it the first one ends the job.
        text_column: by default found by its usual names.
        encoding: of the files, if the user named it.
        prefix: what the names of the added columns begin with.
        part_rows: the most rows of a part; by default as `app.scoring.parts` says.
        models: the place of the bundles.
        model: its name; by default as for a file.
        version: or a label of one; by default the one in use.
    """

    source: str
    output: str
    bad_rows: str | None
    text_column: str | None
    encoding: str | None
    prefix: str
    part_rows: int | None
    models: str
    model: str | None
    version: int | str | None


def find_columns(table: Table, text: str | None, label: str | None) -> tuple[str] | tuple[str, str]:
    """Return the columns to read: that of the texts, by default found by its usual names, and that of the labels.

    Raises:
        TableError: the table does not have each of them once.
    """
    text = text or find_column(table, "text", TEXT_NAMES, {"label": label})
    columns = (text,) if label is None else (text, label)
    check_columns(table, columns)
    return columns


def is_stream(path: Path | None) -> bool:
    """Return whether an output is no file: a pipe, a device, or standard output, also under a name such as /dev/stdout.

    It cannot be read again, so a run that writes it cannot go on.
    """
    try:
        found = path.stat() if path else None
    except OSError:
        return False
    if found is None or os.path.samestat(found, os.fstat(1)):
        return True
    return not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode)


def check_places(table: Table, job: Job) -> None:
    """Check that the files of a job can be written, and that none of them is another one.

    Raises:
        ScoringError: one cannot, or it is.
    """
    source, output, bad = table.source.path, job.output, job.bad_rows
    if is_stream(output):
        if not table.is_stream:
            name = output or "standard output"
            raise ScoringError(f"{name} is no file, and {table.format} cannot be written to a pipe; name a file")
    else:
        assert output
        _check_file(output, source, "output")
        _check_suffix(table, job, output)
        _check_folder(output)
    if bad and not is_stream(bad):
        _check_file(bad, source, "file of the bad rows")
        if output and any(_is_same(bad, path) for path in (output, find_part(output), Journal(output).path)):
            raise ScoringError(f"--bad-rows names {bad}, where the output is written; name another file")
        _check_folder(bad)
    has_begun = output is not None and Journal(output).path.exists()
    if not has_begun:
        check_new(job)


def check_new(job: Job) -> None:
    """Check that no file would be written over.

    Raises:
        ScoringError: one would.
    """
    for path in filter(None, (job.output, job.bad_rows)):
        if path.exists() and not is_stream(path):
            raise ScoringError(f"{path} is there already; delete it, or name another file")


def check_state(state: State, job: Job) -> None:
    """Check that a run can go on from a state: no file would be written over, and no bad rows would be lost.

    Raises:
        ScoringError: it cannot.
    """
    if state.bad and job.bad_rows is None:
        raise ScoringError(f"the run before put {count_rows(state.bad)} aside; name the file again with --bad-rows")
    if not state.is_complete:
        check_new(job)


def check_taken(table: Table, columns: Columns) -> None:
    """Check that the names of the added columns are new.

    Raises:
        ScoringError: the table has a column with one of them.
    """
    if taken := [column.name for column in columns.added if column.name in table.columns]:
        raise ScoringError(
            f"{table.source.name} has already the column {show_names(taken)}; choose other names for the new "
            "ones with --prefix, such as --prefix new_"
        )


def _check_file(path: Path, source: Path | None, what: str) -> None:
    if path.is_dir():
        raise ScoringError(f"{path} is a folder; name a file in it as the {what}")
    if source and any(_is_same(source, each) for each in (path, find_part(path))):
        raise ScoringError(f"{source} is the input and stays as it is; name another file as the {what}")


def _check_suffix(table: Table, job: Job, output: Path) -> None:
    suffix = Path(output.name.lower().removesuffix(_GZIP_SUFFIX)).suffix
    if suffix not in ("", *table.suffixes) or (job.is_packed and not table.is_stream):
        raise ScoringError(
            f"{output} is to have the format of the input; give it the suffix {' or '.join(table.suffixes)}"
        )


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ScoringError(f"there is no folder {folder} for {path.name}; make it (mkdir -p {folder}), or name another")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise ScoringError(f"{path} cannot be written: {folder} is not writable; make it so, or name another folder")


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
