"""Files of a storage in parts: read, scored and written apart from each other, so that any number of processes can.

The parts of a file are always the same rows, and each is written in one step under a name of its own. So a part may
be scored twice, and a job goes on after any end: what is missing is what has no file. Needs pyarrow, and nothing that
distributes the parts; `cluster` does that.
"""

import pickle
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import pyarrow as arrow

from app import __version__
from app.errors import ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.job import check_taken
from app.scoring.sinks import explain_errors
from app.scoring.windows import Window, encode_bad_rows, join_answers, make_windows
from tables.columns import check_columns
from tables.conversion import Converter
from tables.formats import open_table
from tables.parquet import Parquet, compact
from tables.storage import Storage, Stored
from tables.table import BadRow, Extended, Row, Table

# Rows of a part: some seconds of one processor core, and enough of each length for even batches.
PART_ROWS = 8192
# Of all columns of a part, however few its rows are: what a process must hold.
PART_CHARACTERS = 16 << 20

# What must be the same in every process: the parts of a file depend on both.
RELEASE = f"{__version__} with pyarrow {arrow.__version__}"

_LAST = "-last"
_NAME = re.compile(rf"(\d{{8,}})-(\d{{8,}})-(\d+)-(\d+)({_LAST})?\.parquet")  # of `make_name`
_BAD_NAME = re.compile(r"(\d{8,})-(\d{8,})\.jsonl")  # of `make_bad_name`
_ADVICE = "; make it a place that every node can write, and run the same command again to go on"


class Answering(Protocol):
    """Answers texts, as `EngineScorer` does."""

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts, in their order."""


@dataclass(frozen=True)
class Plan:
    """What every process needs to know. Places are absolute paths, or addresses of an object store.

    Attributes:
        source: a folder with files, or one file.
        output: the folder of the scored parts.
        bad_rows: the folder for rows that cannot be scored; without it the first one ends the job.
        text_column: with the texts.
        columns: that are added.
        encoding: of the texts, if the user named it.
        part_rows: the most rows of a part.
        release: of this project and of pyarrow, which every process must have.
    """

    source: str
    output: str
    bad_rows: str | None
    text_column: str
    columns: Columns
    encoding: str | None = None
    part_rows: int = PART_ROWS
    release: str = RELEASE


class Part(NamedTuple):
    """Some rows of a file that follow one another.

    Attributes:
        file: the number of the file.
        number: of the part in the file, from 0 on.
        is_last: whether it is the last one of the file.
        where: its rows are, for messages.
        size: bytes of the file that were read for it, about.
        rows: its `Table` and its `Window`, pickled.
    """

    file: int
    number: int
    is_last: bool
    where: str
    size: float
    rows: bytes


class Written(NamedTuple):
    """What the name of a written part says: see `Part`; `scored` and `bad` are its rows."""

    file: int
    number: int
    scored: int
    bad: int
    is_last: bool


class Counts(NamedTuple):
    """Rows that are scored, rows that are put aside, and the bytes of the input that these were, about."""

    scored: int
    bad: int
    size: float = 0.0


def open_file(plan: Plan, stored: Stored) -> tuple[Table, Converter]:
    """Return a file as a table, and what writes its rows.

    Raises:
        TableError: the file cannot be read, or it has not the column of the texts and each other one once.
        ScoringError: the file has an added column already.
    """
    table = open_table(Storage(plan.source).open(stored), plan.encoding)
    check_columns(table, [plan.text_column, *table.columns])
    check_taken(table, plan.columns)
    return table, Converter(table, plan.columns.added)


def read_parts(plan: Plan, number: int, stored: Stored, done: Set[int]) -> Iterator[Part]:
    """Yield the parts of a file that are not done.

    Args:
        plan: of the job.
        number: of the file, with which the names of its parts begin.
        stored: the file.
        done: numbers of the parts that a run before has written.

    Raises:
        TableError, ScoringError: see `open_file`; also if the file is not as it was when the job began, or if another
            release is installed here.
    """
    check_release(plan)
    _check_file(plan, stored)
    table, writer = open_file(plan, stored)
    rows = table.read([plan.text_column], whole=True)
    windows = make_windows(rows, table, writer, plan.part_rows, PART_CHARACTERS, partial(_measure, table))
    share = 0.0
    for index, (window, is_last) in enumerate(_find_last(windows)):
        if is_last:
            _check_file(plan, stored)
        if index not in done:
            before, share = share, table.share or 1.0
            size = (share - before) * stored.size
            if isinstance(table, Parquet):
                window = window._replace(rows=compact(window.rows))
            yield Part(number, index, is_last, _locate(table, window), size, pickle.dumps((table, window)))


def score_part(plan: Plan, part: Part, scorer: Answering) -> Counts:
    """Score a part and write it, its bad rows first.

    Raises:
        ScoringError: a row cannot be scored, and the plan has no place for it; or nothing can be written.
    """
    table, window = pickle.loads(part.rows)
    good, bad = join_answers(window, scorer.score(window.texts), table, plan.columns)
    if bad and plan.bad_rows is None:
        raise ScoringError(
            f"{table.locate(bad[0].position)} {bad[0].reason}. To leave such rows out and go on, run the same command "
            "with --bad-rows FOLDER, which keeps them"
        )
    if bad and plan.bad_rows:
        _write(plan.bad_rows, make_bad_name(part.file, part.number), encode_bad_rows(bad, table))
    contents = Converter(table, plan.columns.added).encode(
        [Extended(row.record, plan.columns.list_values(answer)) for row, answer in good]
    )
    _write(plan.output, make_name(Written(part.file, part.number, len(good), len(bad), part.is_last)), contents)
    return Counts(len(good), len(bad), part.size)


def check_release(plan: Plan) -> None:
    """Check that this process has the release of the job.

    Raises:
        ScoringError: it has another one.
    """
    if plan.release != RELEASE:
        raise ScoringError(
            f"a node has release {RELEASE}, and the job was started with {plan.release}; install the same one"
        )


def make_name(part: Written) -> str:
    """Return the name of a written part; the order of the names is that of the rows."""
    return f"{part.file:08}-{part.number:08}-{part.scored}-{part.bad}{_LAST if part.is_last else ''}.parquet"


def make_bad_name(file: int, number: int) -> str:
    """Return the name of the file with the bad rows of a part."""
    return f"{file:08}-{number:08}.jsonl"


def find_parts(names: Sequence[str]) -> list[Written]:
    """Return the written parts among the names of files."""
    return [
        Written(int(found[1]), int(found[2]), int(found[3]), int(found[4]), bool(found[5]))
        for found in map(_NAME.fullmatch, names)
        if found
    ]


def find_file_number(name: str) -> int | None:
    """Return the number of the file whose part or bad rows have this name; None if the name is another one."""
    found = _NAME.fullmatch(name) or _BAD_NAME.fullmatch(name)
    return int(found[1]) if found else None


def _check_file(plan: Plan, stored: Stored) -> None:
    """Check that a file is as it was when the job began.

    Raises:
        ScoringError: it has changed, or it is gone.
    """
    storage = Storage(plan.source)
    found = storage.look(stored.name)
    if found is None:
        raise ScoringError(
            f"{storage.show(stored.name)} is gone, or it is not where every node sees it; run the same command again "
            "to go on"
        )
    if found != stored:
        raise ScoringError(
            f"{storage.show(stored.name)} changed while the job ran; run the same command again to do its parts again"
        )


def _write(place: str, name: str, contents: bytes) -> None:
    storage = Storage(place)
    with explain_errors(storage.name, _ADVICE):
        storage.write(name, contents)


def _measure(table: Table, row: Row | BadRow) -> int:
    return len(str(row.shown)) if isinstance(row, BadRow) else table.measure(row.record)


def _locate(table: Table, window: Window) -> str:
    """Return which rows of a file these are, for messages."""
    if not window.rows:
        return table.source.name
    return f"{table.locate(window.rows[0].position)} to {window.rows[-1].position}"


def _find_last(windows: Iterator[Window]) -> Iterator[tuple[Window, bool]]:
    """Yield windows, each with whether it is the last one; of a file without rows an empty one."""
    last = next(windows, Window((), ()))
    for window in windows:
        yield last, False
        last = window
    yield last, True
