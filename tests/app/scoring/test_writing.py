import csv
import gzip
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from app.errors import ScoringError
from app.scoring.answers import Columns
from app.scoring.writing import Scored, Writer, check_suffix, make_writer, pack
from tables.formats import open_table
from tables.inputs import FileInput
from tables.table import Row
from tests.app.scoring.conftest import needs_pyarrow

COLUMNS = Columns("sentiment", ["negative", "positive"])
VALUES = ["positive", 1.5e-07, 3, 0, 0]
MISSING = [None, None, 0, 0, 0]


def make(path: Path, content: str | bytes) -> tuple[Writer, list[Any]]:
    """Write a file, and return the writer of its rows, and their records."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = open_table(FileInput(path))
    return make_writer(table, COLUMNS.added), [
        row.record for row in table.read([table.columns[0]], whole=True) if isinstance(row, Row)
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_fields_are_read_as_they_were(tmp_path: Path, delimiter: str) -> None:
    rows = [["a", f'"x"{delimiter}'], ["return\ralone", "two\r\nlines"], ["", " "], ["é\0", "'"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([["text", "text"], *rows])
    writer, records = make(tmp_path / "my.csv", text.getvalue())
    written = writer.begin() + b"".join(writer.encode([Scored(record, MISSING)]) for record in records)
    header, *lines = csv.reader(io.StringIO(written.decode(), newline=""), delimiter=delimiter, strict=True)
    assert header == ["text", "text", *(column.name for column in COLUMNS.added)]
    assert lines == [[*row, "", "", "0", "0", "0"] for row in rows]


def test_the_fields_of_an_object_stay_as_they_are_written(tmp_path: Path) -> None:
    writer, records = make(tmp_path / "my.jsonl", ' {"text": "\\u00e9", "n": 1.50, "n": 1e400 } \n{"text":"é"}\n')
    written = writer.begin() + writer.encode([Scored(records[0], VALUES), Scored(records[1], MISSING)])
    first, second = written.decode().splitlines()
    assert first.startswith('{"text": "\\u00e9", "n": 1.50, "n": 1e400, "predicted_sentiment": "positive", "prob')
    assert json.loads(second) == {"text": "é", **dict(zip([each.name for each in COLUMNS.added], MISSING, strict=True))}
    assert writer.find_problem(records[0]) is None


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
    writer, records = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    assert writer.begin() == b"" and writer.find_problem(records[0]) is None
    part = tmp_path / "part"
    kept = [Scored(records[number], VALUES if number else MISSING) for number in (0, 1, 3, 4)]
    part.write_bytes(writer.encode(kept[:1]) + writer.encode([]) + writer.encode(kept[1:]))
    writer.publish(part, tmp_path / "out.parquet")
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.select(columns.keys()) == parquet.read_table(tmp_path / "my.parquet").take([0, 1, 3, 4])
    assert found.schema.metadata[b"who"] == b"me"
    assert found.column("predicted_sentiment").to_pylist() == [None, *["positive"] * 3]
    assert found.schema.field("probability_positive").type == pa.float32()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.parquet", "out.parquet"]


@needs_pyarrow
def test_a_group_of_rows_is_not_large(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    parquet.write_table(pa.table({"text": ["x" * 1000] * 40_000}), tmp_path / "my.parquet")
    writer, records = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    part = tmp_path / "part"
    with part.open("wb") as file:
        for begin in range(0, 40_000, 1000):
            file.write(writer.encode([Scored(record, VALUES) for record in records[begin : begin + 1000]]))
    writer.publish(part, tmp_path / "out.parquet")
    groups = parquet.ParquetFile(tmp_path / "out.parquet").metadata
    assert groups.num_rows == 40_000 and 2 <= groups.num_row_groups <= 4


def test_what_is_packed_in_parts_is_unpacked_as_one() -> None:
    assert gzip.decompress(pack(b"one") + pack(b"") + pack(b"two")) == b"onetwo"


@pytest.mark.parametrize(
    ("name", "is_packed"), [("out.csv", False), ("OUT.CSV.GZ", True), ("out", False), ("out.gz", True)]
)
def test_the_name_of_the_output_says_whether_it_is_compressed(tmp_path: Path, name: str, is_packed: bool) -> None:
    writer, _ = make(tmp_path / "my.csv", "text\na\n")
    assert check_suffix(writer, Path(name)) == is_packed


@needs_pyarrow
def test_parquet_is_not_compressed_as_a_whole(tmp_path: Path) -> None:
    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")

    parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "my.parquet")
    writer, _ = make(tmp_path / "my.parquet", (tmp_path / "my.parquet").read_bytes())
    assert not check_suffix(writer, Path("out.pq"))
    with pytest.raises(ScoringError, match="give it the suffix .parquet or .pq"):
        check_suffix(writer, Path("out.parquet.gz"))
