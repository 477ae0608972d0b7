"""Files of a storage in parts: read, scored and written apart from each other, so that any number of processes can.

The parts of a file are always the same rows, and each is written in one step under a name of its own. So a part may
be scored twice, and a job goes on after any end: what is missing is what has no file. Needs pyarrow, and nothing that
distributes the parts; `cluster` does that.
"""

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as arrow
from pyarrow import dataset, ipc, parquet

from app.scoring.answers import Answer, Columns, Refused
from app.scoring.bad_rows import check, encode, make_bad_row, make_error
from app.scoring.sinks import clear_errors
from app.scoring.writing import find_fields, find_runs, make_writer
from tables.columns import check_columns
from tables.formats import open_table
from tables.inputs import clear_errors as clear_reading
from tables.json_lines import JsonLines, JsonObject
from tables.parquet import Parquet
from tables.storage import Storage, Stored
from tables.table import BadRow, Row, Table

# Rows of a part: some seconds of one processor core, and enough of each length for even batches.
PART_ROWS = 8192
# Of the texts of a part, however few they are: what a process must hold.
PART_CHARACTERS = 16 << 20

_LAST = "-last"
_SUFFIX, _BAD_SUFFIX = ".parquet", ".jsonl"


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
        file: the name of the file, for messages.
        unit: what positions count, for messages.
        size: bytes of the file that were read for it, about.
        records: the good rows with all columns, a stream of Arrow.
        positions: of the good rows.
        bad: positions of bad rows.
        reasons: of bad rows.
    """

    name: str
    file: str
    unit: str
    size: float
    records: bytes
    positions: Sequence[int]
    bad: Sequence[int]
    reasons: Sequence[str]


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
        TableError: the file cannot be read.
        ScoringError: a row cannot be read, and the plan has no place for it; or the file has an added column already.
    """
    table = open_table(Storage(plan.source).open(stored), plan.encoding)
    check_columns(table, [plan.text_column])
    writer = make_writer(table, plan.columns.added)
    rows = (
        row if isinstance(row, BadRow) else _check_signs(check(row, writer))
        for row in table.read([plan.text_column], whole=True)
    )
    share = 0.0
    for index, (part, is_last) in enumerate(_cut(rows, plan.part_rows)):
        if index in done:
            continue
        good = [row for row in part if isinstance(row, Row)]
        bad = [row for row in part if isinstance(row, BadRow)]
        if bad and plan.bad_rows is None:
            raise make_error(table.source.name, table.unit, bad[0])
        before, share = share, table.share or 1.0
        yield Part(
            make_name(number, index, is_last),
            table.source.name,
            table.unit,
            (share - before) * stored.size,
            _encode_records(_make_records(table, good)),
            [row.position for row in good],
            [row.position for row in bad],
            [row.reason for row in bad],
        )


def score_part(plan: Plan, part: Part, scorer: Answering) -> Counts:
    """Score a part and write it, its bad rows first.

    Raises:
        ScoringError: a text cannot be read by the model, and the plan has no place for it; or nothing can be written.
    """
    with ipc.open_stream(part.records) as stream:
        records = stream.read_all()
    answers = scorer.score(records.column(plan.text_column).to_pylist())
    bad = [BadRow(*row) for row in zip(part.bad, part.reasons, strict=True)]
    values: list[list[Any]] = []
    for position, answer in zip(part.positions, answers, strict=True):
        if isinstance(answer, Refused):
            bad.append(make_bad_row(position, answer))
        else:
            values.append(plan.columns.list_values(answer))
    records = records.filter(arrow.array([not isinstance(answer, Refused) for answer in answers], arrow.bool_()))
    for place, field in enumerate(find_fields(plan.columns.added)):
        records = records.append_column(field, arrow.array([row[place] for row in values], field.type))
    if bad:
        if plan.bad_rows is None:
            raise make_error(part.file, part.unit, bad[0])
        bad.sort()
        with clear_errors(plan.bad_rows):
            Storage(plan.bad_rows).write(part.name + _BAD_SUFFIX, encode(part.file, part.unit, bad))
    sink = arrow.BufferOutputStream()
    parquet.write_table(records, sink)
    with clear_errors(plan.output):
        Storage(plan.output).write(part.name + _SUFFIX, sink.getvalue().to_pybytes())
    return Counts(len(values), len(bad), part.size)


def make_name(file: int, part: int, is_last: bool) -> str:
    """Return the name of a part; their order is that of the rows."""
    return f"{file:05}-{part:06}{_LAST if is_last else ''}"


def find_done(names: Iterable[str], files: int) -> list[tuple[Set[int], bool]]:
    """Return the numbers of the parts of each file that are written, and whether these are all.

    Args:
        names: of the files in the output.
        files: the number of files in the input.
    """
    found: list[set[int]] = [set() for _ in range(files)]
    counts: list[int | None] = [None] * files
    for name in names:
        file, part = (int(number) for number in name.removesuffix(_SUFFIX).removesuffix(_LAST).split("-"))
        found[file].add(part)
        if name.endswith(_LAST + _SUFFIX):
            counts[file] = part + 1
    return [(done, len(done) == count) for done, count in zip(found, counts, strict=True)]


def count(plan: Plan) -> Counts:
    """Count the rows of the parts that are written.

    Raises:
        TableError: they cannot be read.
    """
    output = Storage(plan.output)
    parts = [stored.name for stored in output.list()]
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


def _cut(rows: Iterable[Row | BadRow], most: int) -> Iterator[tuple[list[Row | BadRow], bool]]:
    """Yield parts, each with whether it is the last one; the only part of a file without rows is empty."""
    part: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        if len(part) == most or characters >= PART_CHARACTERS:
            yield part, False
            part, characters = [], 0
        part.append(row)
        if isinstance(row, Row):
            characters += len(row.values[0])
    yield part, True


def _make_records(table: Table, rows: Sequence[Row]) -> Any:
    """Return rows as a table of Arrow. The columns of formats without types are texts."""
    if isinstance(table, Parquet):
        batches = [batch.slice(begin, len(run)) for batch, begin, run in find_runs(rows)]
        return arrow.Table.from_batches(batches, table.schema)
    if isinstance(table, JsonLines):
        names = [*dict.fromkeys((*table.columns, *(name for row in rows for name in row.record.fields)))]
        lines = [[_write_json(row.record.fields.get(name)) for name in names] for row in rows]
    else:
        names, lines = [*table.columns], [row.record for row in rows]
    columns = zip(*lines, strict=True) if lines else [[] for _ in names]
    return arrow.Table.from_arrays([arrow.array(column, arrow.string()) for column in columns], names)


def _write_json(value: Any) -> str | None:
    """Return a value of JSON as a text; a text as it is."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_signs(row: Row | BadRow) -> Row | BadRow:
    """Return a row, or that Parquet cannot have a text of it, which JSON can."""
    if isinstance(row, Row) and isinstance(row.record, JsonObject) and "\\ud" in row.record.text.lower():
        try:
            json.dumps(row.record.fields, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            sign = error.object[error.start]
            return BadRow(row.position, f"has a lone surrogate ({sign!r}), which Parquet cannot have; remove it")
    return row


def _encode_records(records: Any) -> bytes:
    sink = arrow.BufferOutputStream()
    with ipc.new_stream(sink, records.schema, options=ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(records)
    found: bytes = sink.getvalue().to_pybytes()
    return found
