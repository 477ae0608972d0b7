"""Files of a storage in parts: read, scored and written apart from each other, so that any number of processes can.

The parts of a file are always the same rows, and each is written in one step under a name of its own. So a part may
be scored twice, and a job goes on after any end: what is missing is what has no file. Needs pyarrow, and nothing that
distributes the parts; `cluster` does that.
"""

import pickle
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyarrow import dataset

from app.errors import ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.job import check_taken
from app.scoring.sinks import clear_errors
from app.scoring.windows import Window, encode_bad_rows, join_answers, make_windows
from tables.columns import check_columns
from tables.conversion import Converter
from tables.formats import open_table
from tables.inputs import clear_errors as clear_reading
from tables.parquet import Parquet, compact
from tables.storage import Storage, Stored
from tables.table import Extended

# Rows of a part: some seconds of one processor core, and enough of each length for even batches.
PART_ROWS = 8192
# Of the texts of a part, however few they are: what a process must hold.
PART_CHARACTERS = 16 << 20

_LAST = "-last"
_SUFFIX, _BAD_SUFFIX = ".parquet", ".jsonl"
_NAME = re.compile(rf"(\d+)-(\d+)({_LAST})?\{_SUFFIX}")  # of `make_name`


class Answering(Protocol):
    """Answers texts, as `EngineScorer` does."""

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return the answers to texts, in their order."""


@dataclass(frozen=True)
class Plan:
    """What every process needs to know.

    Attributes:
        source: a folder with files or one file: a path, or an address of an object store.
        output: the folder of the scored parts.
        bad_rows: the folder for rows that cannot be scored; without it the first one ends the job.
        text_column: with the texts.
        columns: that are added.
        encoding: of the texts, if the user named it.
        part_rows: the most rows of a part.
    """

    source: str
    output: str
    bad_rows: str | None
    text_column: str
    columns: Columns
    encoding: str | None = None
    part_rows: int = PART_ROWS


class Part(NamedTuple):
    """Some rows of a file that follow one another.

    Attributes:
        name: of the part, without a suffix.
        size: bytes of the file that were read for it, about.
        rows: its `Table` and its `Window`, pickled.
    """

    name: str
    size: float
    rows: bytes


class Counts(NamedTuple):
    """Rows that are scored, rows that are put aside, and the bytes of the input that these were, about."""

    scored: int
    bad: int
    size: float = 0.0


def read_parts(plan: Plan, number: int, stored: Stored, done: Set[int]) -> Iterator[Part]:
    """Yield the parts of a file that are not done.

    Args:
        plan: of the job.
        number: of the file, with which the names of its parts begin.
        stored: the file.
        done: numbers of the parts that a run before has written.

    Raises:
        TableError: the file cannot be read, or it has not the column of the texts and each other one once.
        ScoringError: the file has an added column already.
    """
    table = open_table(Storage(plan.source).open(stored), plan.encoding)
    check_columns(table, [plan.text_column, *table.columns])
    check_taken(table, plan.columns)
    rows = table.read([plan.text_column], whole=True)
    writer = Converter(table, plan.columns.added)
    windows = make_windows(rows, table, writer, plan.part_rows, PART_CHARACTERS)
    share = 0.0
    for index, (window, is_last) in enumerate(_find_last(windows)):
        if index not in done:
            before, share = share, table.share or 1.0
            size = (share - before) * stored.size
            if isinstance(table, Parquet):
                window = window._replace(rows=compact(window.rows))
            yield Part(make_name(number, index, is_last), size, pickle.dumps((table, window)))


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
        with clear_errors(plan.bad_rows):
            Storage(plan.bad_rows).write(part.name + _BAD_SUFFIX, encode_bad_rows(bad, table))
    contents = Converter(table, plan.columns.added).encode(
        [Extended(row.record, plan.columns.list_values(answer)) for row, answer in good]
    )
    with clear_errors(plan.output):
        Storage(plan.output).write(part.name + _SUFFIX, contents)
    return Counts(len(good), len(bad), part.size)


def make_name(file: int, part: int, is_last: bool) -> str:
    """Return the name of a part; their order is that of the rows."""
    return f"{file:05}-{part:06}{_LAST if is_last else ''}"


def find_done(output: Storage, files: int) -> list[tuple[Set[int], bool]]:
    """Return the numbers of the parts of each file that are written, and whether these are all.

    Args:
        output: with the parts; the folder of the bad rows may be in it.
        files: the number of files in the input.
    """
    found: list[set[int]] = [set() for _ in range(files)]
    counts: list[int | None] = [None] * files
    for name in _list_parts(output):
        file, part, last = name.groups()
        found[int(file)].add(int(part))
        if last:
            counts[int(file)] = int(part) + 1
    return [(done, len(done) == count) for done, count in zip(found, counts, strict=True)]


def count(plan: Plan) -> Counts:
    """Count the rows of the parts that are written.

    Raises:
        TableError: they cannot be read.
    """
    output = Storage(plan.output)
    parts = [name[0] for name in _list_parts(output)]
    if not parts:
        return Counts(0, 0)
    with clear_reading(plan.output):
        places = [output.place(name) for name in parts]
        scored = dataset.dataset(places, filesystem=output.system, format="parquet").count_rows()
    if plan.bad_rows is None:
        return Counts(scored, 0)
    aside = Storage(plan.bad_rows)
    found = (aside.read(name.removesuffix(_SUFFIX) + _BAD_SUFFIX) for name in parts)
    return Counts(scored, sum(lines.count(b"\n") for lines in found if lines))


def _list_parts(output: Storage) -> list[re.Match[str]]:
    return [name for stored in output.list() if (name := _NAME.fullmatch(stored.name))]


def _find_last(windows: Iterator[Window]) -> Iterator[tuple[Window, bool]]:
    """Yield windows, each with whether it is the last one; of a file without rows an empty one."""
    last = next(windows, Window((), ()))
    for window in windows:
        yield last, False
        last = window
    yield last, True
