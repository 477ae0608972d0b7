"""Parquet files as pyarrow writes them, read and scored in a real browser."""

import base64
import csv
import io
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.page.test_files import COUNTS, ask, choose, files, make_rows, score

__all__ = ["files"]  # a fixture

READ = """async (packed) => {
    const { openTable } = await import("/page/parsing.js");
    const file = new File([Uint8Array.from(atob(packed), (one) => one.charCodeAt(0))], "a.parquet");
    const { table, rows } = await openTable(file);
    const parts = [];
    for await (const part of table.readParts(file)) parts.push(...part.rows);
    const values = parts.map((row) => row.fields.map((value) => (typeof value === "bigint" ? String(value) : value)));
    return { columns: table.columns, first: rows.length, lines: parts.map((row) => row.line), values };
}"""
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "version 1": {"version": "1.0"},
    "pages of version 2": {"data_page_version": "2.0"},
    "gzip": {"compression": "gzip"},
    "gzip, pages of version 2": {"compression": "gzip", "data_page_version": "2.0"},
    "not compressed": {"compression": "none"},
    "no dictionary": {"use_dictionary": False, "data_page_size": 2000},
    "a dictionary that is too large": {"dictionary_pagesize_limit": 500},
    "many groups": {"row_group_size": 77, "data_page_size": 500},
}


def write(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def make_table(rows: int) -> pa.Table:
    """Return a table of all types that the page reads."""
    chance = random.Random(0)

    def draw(make: Any, share: float = 0.8) -> list[Any]:
        return [make() if chance.random() < share else None for _ in range(rows)]

    pieces = ("good", "b\u00f6se", "\U0001f600", '"q"', "a\nb", "")
    start = datetime(1960, 1, 1)
    columns = {
        "text": pa.array(draw(lambda: " ".join(chance.choices(pieces, k=chance.randrange(40)))), pa.string()),
        "large": pa.array(draw(lambda: "x" * chance.randrange(3)), pa.large_string()),
        "category": pa.array(draw(lambda: chance.choice("ab"))).dictionary_encode(),
        "int8": pa.array(draw(lambda: chance.randrange(-128, 128)), pa.int8()),
        "uint32": pa.array(draw(lambda: chance.randrange(2**32)), pa.uint32()),
        "int64": pa.array(draw(lambda: chance.randrange(-(2**63), 2**63)), pa.int64()),
        "uint64": pa.array(draw(lambda: chance.randrange(2**64)), pa.uint64()),
        "float": pa.array(draw(lambda: chance.random() * 10 ** chance.randrange(-5, 5)), pa.float32()),
        "double": pa.array(draw(chance.random), pa.float64()),
        "bool": pa.array(draw(lambda: chance.random() < 0.5), pa.bool_()),
        "date": pa.array(draw(lambda: date(1900, 1, 1) + timedelta(chance.randrange(60_000)))),
        "seconds": pa.array(draw(lambda: start + timedelta(seconds=chance.randrange(10**9))), pa.timestamp("s")),
        "time": pa.array(draw(lambda: start + timedelta(microseconds=chance.randrange(10**15))), pa.timestamp("us")),
        "utc": pa.array(draw(lambda: start.replace(tzinfo=UTC)), pa.timestamp("ns", "UTC")),
        "nothing": pa.nulls(rows),
        "constant": pa.array(["same"] * rows),
        "required": pa.array([str(number) for number in range(rows)]),
    }
    fields = [pa.field(name, column.type, name != "required") for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def show(value: Any) -> Any:
    """Return a value as the page reads it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    return value


@pytest.mark.parametrize("way", WAYS)
def test_the_values_are_those_of_pyarrow(page: Page, way: str) -> None:
    content = write(make_table(400), **WAYS[way])
    found = page.evaluate(READ, base64.b64encode(content).decode())
    table = pq.read_table(io.BytesIO(content))  # with the types that the file has
    assert found["columns"] == table.column_names
    assert found["lines"] == [*range(1, 401)] and found["first"] > 0
    expected = [[show(value) for value in row.values()] for row in table.to_pylist()]
    place = table.column_names.index("float")
    for row, values in zip(expected, found["values"], strict=True):
        if row[place] is not None:
            row[place] = pytest.approx(row[place], rel=1e-7)
        assert values == row


def test_a_scored_file_is_csv(files: Page, service: httpx.Client) -> None:
    rows = make_rows(120)
    texts = [row["review"] for row in rows]
    table = pa.table({"n": [*range(120)], "review": [*texts[:-1], None], "sentiment": [1, 0, None] * 40})
    scored = score(files, "reviews.parquet", write(table))
    assert files.locator("#download").get_attribute("download") == "reviews-scored.csv"
    expect(files.locator("#download")).to_have_text("Download the scored file as CSV")
    found = [*csv.DictReader(io.StringIO(scored, newline=""))]
    assert list(found[0]) == ["n", "review", "sentiment", "predicted_sentiment", "probability_positive", *COUNTS]
    assert [row["n"] for row in found] == [str(number) for number in range(120)]
    assert [row["sentiment"] for row in found] == ["1", "0", ""] * 40
    answers = ask(service, texts[:-1])
    assert [row["predicted_sentiment"] for row in found] == [*(one["sentiment"] for one in answers), ""]
    assert found[-1]["words_used"] == "0"
    expect(files.locator("#figures")).to_contain_text("40 rows without a label.")


@pytest.mark.parametrize(
    ("column", "options", "words"),
    [
        (pa.array([["a"]]), {}, "Its column other is nested."),
        (pa.array([{"a": 1}]), {}, "Its column other is nested."),
        (pa.array([b"a"]), {}, "Its column other has bytes, not texts."),
        (pa.array([Decimal("1.5")]), {}, "Its column other has decimals."),
        (pa.array([time(1, 2)]), {}, "Its column other has times."),
        (pa.array([datetime(2020, 1, 1)]), {"use_deprecated_int96_timestamps": True}, "has the type INT96."),
        (pa.array([b"abc"], pa.binary(3)), {}, "has the type FIXED_LEN_BYTE_ARRAY."),
        (pa.array(["a"]), {"compression": "zstd"}, "is compressed by ZSTD."),
        (
            pa.array(["a"]),
            {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
            "has the encoding DELTA_BYTE_ARRAY.",
        ),
    ],
)
def test_what_the_page_does_not_read_is_named(files: Page, column: pa.Array, options: Any, words: str) -> None:
    choose(files, "my reviews.parquet", write(pa.table({"other": column}), **options))
    expect(files.locator("#file-problem")).to_contain_text(words)
    expect(files.locator("#file-problem")).to_contain_text(
        'This command does: python -m app score "my reviews.parquet" "my reviews-scored.parquet" --text-column COLUMN'
    )


def test_numbers_are_no_texts(files: Page) -> None:
    choose(files, "reviews.parquet", write(pa.table({"text": [1, 2]})))
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_have_text("Row 1: text is not a text.")


def test_damaged_files_are_named(files: Page) -> None:
    content = write(pa.table({"text": [f"a great film {number}" for number in range(900)]}), row_group_size=300)
    for damaged in (content[:-100], b"PAR1" + content[500:], b"text\ngreat\n"):
        choose(files, "reviews.parquet", damaged)
        expect(files.locator("#file-problem")).to_contain_text("damaged")
        choose(files, "reviews.csv", "text\ngreat\n")
        expect(files.locator("#file-problem")).to_be_hidden()
    broken = bytearray(content)
    broken[len(content) // 2 : len(content) // 2 + 200] = b"\xff" * 200
    choose(files, "reviews.parquet", bytes(broken))
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_contain_text("the file is damaged from here on.")
