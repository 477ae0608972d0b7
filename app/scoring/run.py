"""Scores a table: its rows in windows, answered by several threads, written in their order."""

import gzip
import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from app import __version__
from app.errors import ScoringError
from app.scoring.answers import Answer, Columns, Refused
from app.scoring.display import Display
from app.scoring.figures import Counter, Figures
from app.scoring.job import Job, check_places, check_state, check_taken, is_stream
from app.scoring.journal import Journal, State
from app.scoring.scorer import Scorer
from app.scoring.sinks import FileSink, Sink, StreamSink, publish
from app.scoring.windows import Window, answer_windows, encode_bad_rows, join_answers, make_windows
from tables.table import BadRow, Extended, Table, Writer

# A run that is killed repeats the work of about this time.
COMMIT_SECONDS = 1.0


def score(table: Table, job: Job, open_scorer: Callable[[], Scorer], display: Display) -> State:
    """Score a table, or what a run before has left of it; return what was done.

    Args:
        table: with the texts.
        job: what to do.
        open_scorer: returns what answers the texts. It is closed at the end.
        display: shows how far the run is.

    Raises:
        ScoringError: it stopped; the message says why, and whether the same command goes on.
        TableError: the table cannot be read.
    """
    check_places(table, job)
    with ExitStack() as opened:
        scorer = open_scorer()
        pool = opened.enter_context(ThreadPoolExecutor(scorer.places))
        opened.callback(scorer.close)  # before the pool waits for its threads
        columns = Columns(scorer.model.task, scorer.model.labels, job.prefix)
        check_taken(table, columns)
        journal = None if job.output is None or is_stream(job.output) else Journal(job.output)
        seen = _look(table.source.path)
        identity = _identify(table, job, scorer.model.identity) if journal else {}
        found = journal.read(identity) if journal else None
        state = found or State(identity=identity)
        check_state(state, job)
        writer = table.make_writer(columns.added)
        if not state.is_complete:
            output = _open_sink(job.output, state.bytes, opened)
            bad = _open_sink(job.bad_rows, state.bad_bytes, opened) if job.bad_rows else None
            run = _Run(table, job, columns, writer, journal, output, bad, state)
            if found is None:
                run.begin()
            run.score(pool, scorer, display)
            if _look(table.source.path) != seen:
                advice = f"; delete {journal.path} and start anew" if journal else ""
                raise ScoringError(f"{table.source.name} changed while it was read{advice}")
            run.complete()
            state = run.state
        for path, make in ((job.bad_rows, None), (job.output, writer.convert)):
            if path and not is_stream(path):
                publish(path, make)
        if journal:
            journal.remove()
        return state


@dataclass
class _Run:
    """One run: its files, and what it has done so far."""

    table: Table
    job: Job
    columns: Columns
    writer: Writer
    journal: Journal | None
    output: Sink
    bad: Sink | None
    state: State

    def __post_init__(self) -> None:
        self._committed = time.monotonic()

    def begin(self) -> None:
        """Write what comes before the first row."""
        if len(self.job.columns) > 1:
            self.state.figures = Figures.make(self.columns.labels)
        self._write(self.writer.begin())
        self.state = self.state.model_copy(update={"bytes": self.output.size})
        self._commit()

    def score(self, pool: ThreadPoolExecutor, scorer: Scorer, display: Display) -> None:
        """Score the rows that are left."""
        table = self.table
        rows = table.read(self.job.columns, whole=True)
        deque(islice(rows, self.state.rows), maxlen=0)  # those that a run before has done
        display.begin(self.state.scored, table.share or 0.0)
        windows = make_windows(rows, table, self.writer, scorer.most_texts)
        with closing(answer_windows(pool, scorer, windows)) as answered:
            for window, answers in answered:
                self._write_window(window, answers)
                display.update(self.state.scored, table.share)
                if time.monotonic() - self._committed > COMMIT_SECONDS:
                    self._commit()

    def complete(self) -> None:
        """Note that all rows are done."""
        self.state = self.state.model_copy(update={"is_complete": True})
        self._commit()

    def _write_window(self, window: Window, answers: Sequence[Answer | Refused]) -> None:
        """Write the rows of a window."""
        good, bad = join_answers(window, answers, self.table, self.columns)
        if bad:
            self._put_aside(bad)
        self._write(
            self.writer.encode([Extended(row.record, self.columns.list_values(answer)) for row, answer in good])
        )
        state = self.state
        if state.figures:
            counter = Counter(state.figures, self.columns)
            for row, answer in good:
                counter.add(row.values[1], answer, self.table.locate(row.position))
        self.state = state.model_copy(
            update={
                "rows": state.rows + len(window.rows),
                "scored": state.scored + len(good),
                "bad": state.bad + len(bad),
                "bytes": self.output.size,
                "bad_bytes": self.bad.size if self.bad else 0,
            }
        )

    def _put_aside(self, bad: Sequence[BadRow]) -> None:
        """Write bad rows to their file.

        Raises:
            ScoringError: there is none.
        """
        if self.bad is None:
            self._commit()
            where = f"{self.table.locate(bad[0].position)} {bad[0].reason}."
            if self.journal is None or self.table.source.path is None:
                raise ScoringError(f"{where} To leave such rows out, add --bad-rows FILE, which keeps them")
            raise ScoringError(
                f"{where} To leave such rows out and go on, run the same command with --bad-rows FILE, which keeps "
                f"them. Or correct {self.table.source.name}, delete {self.journal.path} and start anew: a run goes on "
                "only with the same input"
            )
        self.bad.write(encode_bad_rows(bad, self.table))

    def _write(self, contents: bytes) -> None:
        # What is compressed in parts is unpacked as one.
        self.output.write(gzip.compress(contents, 6, mtime=0) if self.job.is_packed and contents else contents)

    def _commit(self) -> None:
        """Note what has been written for certain, so that another run can go on from here."""
        self._committed = time.monotonic()
        if self.journal and self.table.source.path:
            self.output.sync()
            if self.bad:
                self.bad.sync()
            self.journal.write(self.state)


def _open_sink(path: Path | None, size: int, opened: ExitStack) -> Sink:
    sink: Sink = StreamSink(path) if path is None or is_stream(path) else FileSink(path, size)
    opened.callback(sink.close)
    return sink


def _identify(table: Table, job: Job, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the output depends on. It reads the whole input, for its SHA-256."""
    digest = None
    if table.source.path:
        with table.source.open() as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "input": digest,
        "text column": job.columns[0],
        "label column": job.columns[1] if len(job.columns) > 1 else None,
        "format": table.format,
        "encoding": table.encoding,
        "prefix": job.prefix,
        "compression": job.is_packed,
        "release": __version__,
        **model,
    }


def _look(path: Path | None) -> object:
    """Return what changes with a file; None of a pipe."""
    try:
        found = path.stat() if path else None
    except FileNotFoundError:
        return ()
    return found and (found.st_size, found.st_mtime_ns, found.st_ino)
