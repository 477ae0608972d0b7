import csv
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tables.formats import open_table
from tables.inputs import FileInput
from tables.table import Column, Extended, Row, Table, Writer
from tests.tables.test_parquet import needs_pyarrow

COLUMNS = (
    Column("predicted_sentiment", "text"),
    Column("probability_positive", "probability"),
    *(Column(name, "count") for name in ("words_used", "words_unknown", "words_cut")),
)
VALUES = ["positive", 1.5e-07, 3, 0, 0]
MISSING = [None, None, 0, 0, 0]


def make(path: Path, content: str | bytes) -> tuple[Writer, list[Any], Table]:
    """Write a file, and return the writer of its rows, their records, and their table."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = open_table(FileInput(path))
    rows = table.read([table.columns[0]], whole=True)
    return table.make_writer(COLUMNS), [row.record for row in rows if isinstance(row, Row)], table


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_fields_are_read_as_they_were(tmp_path: Path, delimiter: str) -> None:
    rows = [["a", f'"x"{delimiter}'], ["return\ralone", "two\r\nlines"], ["", " "], ["é\0", "'"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([["text", "text"], *rows])
    writer, records, _ = make(tmp_path / "my.csv", text.getvalue())
    written = writer.begin() + b"".join(writer.encode([Extended(record, MISSING)]) for record in records)
    header, *lines = csv.reader(io.StringIO(written.decode(), newline=""), delimiter=delimiter, strict=True)
    assert header == ["text", "text", *(column.name for column in COLUMNS)]
    assert lines == [[*row, "", "", "0", "0", "0"] for row in rows]


def test_the_fields_of_an_object_stay_as_they_are_written(tmp_path: Path) -> None:
    writer, records, _ = make(tmp_path / "my.jsonl", ' {"text": "\\u00e9", "n": 1.50, "n": 1e400 } \n{"text":"é"}\n')
    written = writer.begin() + writer.encode([Extended(records[0], VALUES), Extended(records[1], MISSING)])
    first, second = written.decode().splitlines()
    assert first.startswith('{"text": "\\u00e9", "n": 1.50, "n": 1e400, "predicted_sentiment": "positive", "prob')
    assert json.loads(second) == {"text": "é", **dict(zip([each.name for each in COLUMNS], MISSING, strict=True))}
    assert writer.find_problem(records[0]) is None
    assert writer.convert(tmp_path / "part") == tmp_path / "part"


def test_an_empty_object_gets_the_fields(tmp_path: Path) -> None:
    writer, records, _ = make(tmp_path / "my.jsonl", '{"text": "a"}\n{ }\n')
    assert json.loads(writer.encode([Extended(records[1], MISSING)]))["words_used"] == 0


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("my.csv", 'text,n\n"a ""b"", c",1\n', '"a ""b"", c",1'),
        ("my.tsv", "text\tn\na, b\t1\n", "a, b\t1"),
        ("my.jsonl", ' {"text": "a",  "n": 1.50} \n', '{"text": "a",  "n": 1.50}'),
    ],
)
def test_a_row_is_shown_as_it_is_in_the_file(tmp_path: Path, name: str, content: str, shown: str) -> None:
    _, (record,), table = make(tmp_path / name, content)
    assert table.show(record) == shown


@needs_pyarrow
def test_a_row_of_parquet_is_shown_as_an_object(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    columns = {"text": ["a", "b"], "when": pa.array([1, 2], pa.timestamp("s")), "tags": [["x"], None]}
    parquet.write_table(pa.table(columns), tmp_path / "my.parquet")
    _, records, table = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    assert table.show(records[1]) == {"text": "b", "when": "1970-01-01 00:00:02", "tags": None}


@needs_pyarrow
def test_a_file_that_cannot_be_converted_leaves_none(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "my.parquet")
    writer, records, _ = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    (tmp_path / "part").write_bytes(writer.encode([Extended(records[0], VALUES)])[:-40])
    with pytest.raises(OSError):
        writer.convert(tmp_path / "part")
    assert not (tmp_path / "part.parquet").exists()


@needs_pyarrow
def test_every_type_of_parquet_stays_as_it_is(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    columns = {
        "text": ["a", "b", "c", "d", "e"],
        "tags": [["x"], [], None, ["y", "z"], [None]],
        "kind": pa.array(["u", "v", "u", None, "v"]).dictionary_encode(),
        "when": pa.array([1, 2, None, 4, 5], pa.timestamp("ns", "UTC")),
        "money": pa.array([1, None, 3, 4, 5], pa.decimal128(20, 3)),
        "more": [{"k": 1}, None, {"k": None}, {"k": 4}, {"k": 5}],
    }
    parquet.write_table(pa.table(columns).replace_schema_metadata({"who": "me"}), tmp_path / "my.parquet")
    writer, records, _ = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    assert writer.begin() == b"" and writer.find_problem(records[0]) is None
    part = tmp_path / "part"
    kept = [Extended(records[number], VALUES if number else MISSING) for number in (0, 1, 3, 4)]
    part.write_bytes(writer.encode(kept[:1]) + writer.encode([]) + writer.encode(kept[1:]))
    found = parquet.read_table(writer.convert(part))
    assert found.select(columns.keys()) == parquet.read_table(tmp_path / "my.parquet").take([0, 1, 3, 4])
    assert found.schema.metadata[b"who"] == b"me"
    assert found.column("predicted_sentiment").to_pylist() == [None, *["positive"] * 3]
    assert found.schema.field("probability_positive").type == pa.float32()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.parquet", "part", "part.parquet"]


@needs_pyarrow
def test_a_group_of_rows_is_not_large(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    parquet.write_table(pa.table({"text": ["x" * 1000] * 40_000}), tmp_path / "my.parquet")
    writer, records, _ = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    part = tmp_path / "part"
    with part.open("wb") as file:
        for begin in range(0, 40_000, 1000):
            file.write(writer.encode([Extended(record, VALUES) for record in records[begin : begin + 1000]]))
    groups = parquet.ParquetFile(writer.convert(part)).metadata
    assert groups.num_rows == 40_000 and 2 <= groups.num_row_groups <= 4
