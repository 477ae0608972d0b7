"""Scores a table: its rows in windows, answered by several threads, written in their order."""

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from app import __version__
from app.errors import ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.bad_rows import check, encode, make_bad_row, make_error
from app.scoring.display import Display
from app.scoring.figures import Counter, Figures
from app.scoring.journal import Journal, State
from app.scoring.scorer import Scorer
from app.scoring.sinks import FileSink, Sink, StandardOutput, publish, rename
from app.scoring.writing import Scored, Writer, check_suffix, make_writer, pack
from tables.columns import TEXT_NAMES, check_columns, find_column
from tables.table import BadRow, Row, Table

# Of the texts of a window, however few they are.
WINDOW_CHARACTERS = 1 << 20
# A run that is killed repeats the work of about this time.
COMMIT_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """What to do with a table.

    Attributes:
        output: the file to write; None for standard output.
        columns: with the texts, and with labels to compare the answers with if there are any: see `find_columns`.
        prefix: what the names of the added columns begin with.
        bad_rows: the file for rows that cannot be scored; without it the first one ends the run.
    """

    output: Path | None
    columns: tuple[str] | tuple[str, str]
    prefix: str = ""
    bad_rows: Path | None = None


def find_columns(table: Table, text: str | None, label: str | None) -> tuple[str] | tuple[str, str]:
    """Return the columns to read: that of the texts, by default found by its usual names, and that of the labels.

    Raises:
        TableError: the table does not have each of them once.
    """
    text = text or find_column(table, "text", TEXT_NAMES, [label])
    columns = (text,) if label is None else (text, label)
    check_columns(table, columns)
    return columns


class Window(NamedTuple):
    """Some rows that follow one another, and the texts of the good ones."""

    rows: Sequence[Row | BadRow]
    texts: Sequence[str]


def score(table: Table, job: Job, scorer: Scorer, display: Display) -> State:
    """Score a table, or what a run before has left of it; return what was done.

    Args:
        table: with the texts.
        job: what to do.
        scorer: answers the texts; closed at the end.
        display: shows how far the run is.

    Raises:
        ScoringError: it stopped; the message says why, and whether the same command goes on.
        TableError: the table cannot be read.
    """
    with ThreadPoolExecutor(scorer.places) as pool, closing(scorer), ExitStack() as files:
        run = _Run(table, job, scorer, display)
        if not run.state.is_complete:
            run.open(files)
            run.score(pool)
        run.publish()
        return run.state


class _Run:
    """One run: its files, and what it has done so far."""

    def __init__(self, table: Table, job: Job, scorer: Scorer, display: Display) -> None:
        """Find out what is to be done."""
        self._table = table
        self._job = job
        self._scorer = scorer
        self._display = display
        self._columns = Columns(scorer.model.task, scorer.model.labels, job.prefix)
        self._writer = make_writer(table, self._columns.added)
        self._is_packed = job.output is not None and check_suffix(self._writer, job.output)
        self._seen = _look(table.source.path)
        self._committed = time.monotonic()
        self._journal = Journal(job.output) if job.output else None
        identity = self._identify()
        found = self._journal.read(identity) if self._journal else None
        self._is_new = found is None
        self.state = found or State(identity=identity)
        self._check_files()
        if self._is_new and len(job.columns) > 1:
            self.state.figures = Figures.make(scorer.model.labels)

    def open(self, files: ExitStack) -> None:
        """Open the files that are written."""
        job, state = self._job, self.state
        self._output: Sink = FileSink(job.output, state.bytes) if job.output else StandardOutput()
        files.callback(self._output.close)
        self._bad = FileSink(job.bad_rows, state.bad_bytes) if job.bad_rows else None
        if self._bad:
            files.callback(self._bad.close)
        if self._is_new:
            self._write(self._writer.begin())
            self.state = state.model_copy(update={"bytes": self._output.size})
            self._commit()

    def score(self, pool: ThreadPoolExecutor) -> None:
        """Score the rows that are left."""
        table, most = self._table, self._scorer.most_texts
        rows = table.read(self._job.columns, whole=True)
        deque(islice(rows, self.state.rows), maxlen=0)  # those that a run before has done
        self._display.begin(self.state.rows, table.share or 0.0)
        for window, answers in _answer(pool, self._scorer, _make_windows(rows, self._writer, most)):
            self._write_window(window, answers)
            self._display.update(self.state.rows, table.share)
            if time.monotonic() - self._committed > COMMIT_SECONDS:
                self._commit()
        if _look(table.source.path) != self._seen:
            raise ScoringError(f"{table.source.name} changed while it was read; start anew")
        self.state = self.state.model_copy(update={"is_complete": True})
        self._commit()

    def publish(self) -> None:
        """Give the files their names."""
        if self._job.bad_rows:
            publish(self._job.bad_rows, rename)
        if self._job.output:
            publish(self._job.output, self._writer.publish)
        if self._journal:
            self._journal.remove()

    def _write_window(self, window: Window, answers: Sequence[Answer | Refused]) -> None:
        """Write the rows of a window."""
        scored: list[Scored] = []
        labelled: list[tuple[Row, Answer]] = []
        bad: list[BadRow] = []
        left = iter(answers)
        for row in window.rows:
            found = row if isinstance(row, BadRow) else next(left)
            if isinstance(found, Refused):
                found = make_bad_row(row.position, found)
            if isinstance(found, BadRow):
                bad.append(found)
            else:
                assert isinstance(row, Row)
                scored.append(Scored(row.record, self._columns.list_values(found)))
                labelled.append((row, found))
        if bad:
            self._put_aside(bad)
        self._write(self._writer.encode(scored))
        state = self.state
        if state.figures:
            counter = Counter(state.figures, self._columns)
            for row, answer in labelled:
                counter.add(row.values[1], answer, self._table.locate(row.position))
        self.state = state.model_copy(
            update={
                "rows": state.rows + len(window.rows),
                "scored": state.scored + len(scored),
                "bad": state.bad + len(bad),
                "bytes": self._output.size,
                "bad_bytes": self._bad.size if self._bad else 0,
            }
        )

    def _put_aside(self, bad: Sequence[BadRow]) -> None:
        """Write bad rows to their file.

        Raises:
            ScoringError: there is none.
        """
        if self._bad is None:
            self._commit()
            raise make_error(self._table.source.name, self._table.unit, bad[0])
        self._bad.write(encode(self._table.source.name, self._table.unit, bad))

    def _write(self, contents: bytes) -> None:
        self._output.write(pack(contents) if self._is_packed else contents)

    def _commit(self) -> None:
        """Note what has been written for certain, so that another run can go on from here."""
        self._committed = time.monotonic()
        if self._journal and self._table.source.path:
            self._output.sync()
            if self._bad:
                self._bad.sync()
            self._journal.write(self.state)

    def _identify(self) -> dict[str, Any]:
        """Return what the output depends on."""
        columns = self._job.columns
        return {
            "input": self._hash() if self._journal and self._table.source.path else None,
            "text column": columns[0],
            "label column": columns[1] if len(columns) > 1 else None,
            "format": self._table.format,
            "encoding": self._table.encoding,
            "prefix": self._job.prefix,
            "compression": self._is_packed,
            "model": dict(self._scorer.model.identity),
            "release": __version__,
        }

    def _hash(self) -> str:
        """Return the SHA-256 of the input, unpacked."""
        with self._table.source.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _check_files(self) -> None:
        """Check that no file would be written over, and that no bad rows of the run before would be lost.

        Raises:
            ScoringError: it would.
        """
        state, job = self.state, self._job
        if state.bad and job.bad_rows is None:
            raise ScoringError(f"the run before put {state.bad:,} rows aside; name their file again with --bad-rows")
        if not state.is_complete:
            for path in filter(None, (job.output, job.bad_rows)):
                if path.exists():
                    raise ScoringError(f"{path} is there already; delete it, or name another file")


def _answer(
    pool: ThreadPoolExecutor, scorer: Scorer, windows: Iterable[Window]
) -> Iterator[tuple[Window, Sequence[Answer | Refused]]]:
    """Yield the windows with their answers, in their order; a few of them are answered at a time."""
    waiting: deque[tuple[Window, Future[list[Answer | Refused]]]] = deque()
    try:
        for window in windows:
            waiting.append((window, pool.submit(scorer.score, window.texts)))
            if len(waiting) >= 2 * scorer.places:
                first, answers = waiting.popleft()
                yield first, answers.result()
        while waiting:
            first, answers = waiting.popleft()
            yield first, answers.result()
    finally:
        for _, answers in waiting:
            answers.cancel()


def _make_windows(rows: Iterable[Row | BadRow], writer: Writer, most_texts: int) -> Iterator[Window]:
    """Yield the rows in windows."""
    window: list[Row | BadRow] = []
    texts: list[str] = []
    characters = 0
    for row in rows:
        checked = row if isinstance(row, BadRow) else check(row, writer)
        window.append(checked)
        if isinstance(checked, Row):
            texts.append(checked.values[0])
            characters += len(checked.values[0])
        if len(window) == most_texts or characters >= WINDOW_CHARACTERS:
            yield Window(window, texts)
            window, texts, characters = [], [], 0
    if window:
        yield Window(window, texts)


def _look(path: Path | None) -> object:
    """Return what changes with a file; None of a pipe."""
    try:
        found = path.stat() if path else None
    except FileNotFoundError:
        return ()
    return found and (found.st_size, found.st_mtime_ns, found.st_ino)
