"""The rows of a table in windows, which are answered by several threads."""

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from app.scoring.answers import Answer, Columns, Refused
from app.scoring.scorer import Scorer
from tables.table import BadRow, Row, Table, Writer

# Of the texts of a window, by default, however few they are.
WINDOW_CHARACTERS = 1 << 20


class Window(NamedTuple):
    """Some rows that follow one another, and the texts of those that have one and are good."""

    rows: Sequence[Row | BadRow]
    texts: Sequence[str]


def measure_text(row: Row | BadRow) -> int:
    """Return the characters of the text of a row."""
    return len(row.values[0]) if isinstance(row, Row) and has_text(row) else 0


def make_windows(
    rows: Iterable[Row | BadRow],
    table: Table,
    writer: Writer,
    most_rows: int,
    most_characters: int = WINDOW_CHARACTERS,
    measure: Callable[[Row | BadRow], int] = measure_text,
) -> Iterator[Window]:
    """Yield rows in windows; a row that cannot be scored becomes a bad one.

    Args:
        rows: of the table.
        table: whose rows they are.
        writer: that is to write them.
        most_rows: of a window.
        most_characters: of a window, before its last row.
        measure: returns the characters of a row; by default those of its text.
    """
    window: list[Row | BadRow] = []
    texts: list[str] = []
    characters = 0
    for row in rows:
        checked = row if isinstance(row, BadRow) else _check(row, table, writer)
        window.append(checked)
        if isinstance(checked, Row) and has_text(checked):
            texts.append(checked.values[0])
        characters += measure(checked)
        if len(window) == most_rows or characters >= most_characters:
            yield Window(window, texts)
            window, texts, characters = [], [], 0
    if window:
        yield Window(window, texts)


def answer_windows(
    pool: ThreadPoolExecutor, scorer: Scorer, windows: Iterable[Window]
) -> Generator[tuple[Window, Sequence[Answer | Refused]], None, None]:
    """Yield windows with the answers to their texts, in their order; a few of them are answered at a time."""
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


def join_answers(
    window: Window, answers: Sequence[Answer | Refused], table: Table, columns: Columns
) -> tuple[list[tuple[Row, Answer]], list[BadRow]]:
    """Return the good rows of a window with their answers, and the bad rows."""
    good: list[tuple[Row, Answer]] = []
    bad: list[BadRow] = []
    left = iter(answers)
    for row in window.rows:
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        answer = next(left) if has_text(row) else columns.nothing
        if isinstance(answer, Refused):
            bad.append(BadRow(row.position, f"cannot be scored: {answer.reason}", table.show(row.record)))
        else:
            good.append((row, answer))
    return good, bad


def encode_bad_rows(rows: Iterable[BadRow], table: Table) -> bytes:
    """Return the bad rows of a table as JSON Lines."""
    name, unit = table.source.name, table.unit
    lines = [json.dumps({"file": name, unit: row.position, "reason": row.reason, "row": row.shown}) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def has_text(row: Row) -> bool:
    """Return whether a row has a text: no missing value, and not an empty one."""
    text = row.values[0]
    return text is not None and text != "" and text == text  # NaN is not itself


def _check(row: Row, table: Table, writer: Writer) -> Row | BadRow:
    """Return a row, or why it cannot be scored."""
    text = row.values[0]
    problem = writer.find_problem(row.record)
    if has_text(row) and not isinstance(text, str):
        problem = f"has a value of the type {type(text).__name__} in the column of the texts; a text was expected"
    return BadRow(row.position, problem, table.show(row.record)) if problem else row
