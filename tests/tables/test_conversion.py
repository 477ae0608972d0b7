import io
import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow
from pyarrow import parquet

from tables.conversion import Converter
from tables.errors import TableError
from tables.formats import open_table
from tables.inputs import FileInput
from tables.parquet import compact
from tables.table import Column, Extended, Row

ADDED = (Column("predicted", "text"), Column("probability", "probability"), Column("words", "count"))


def convert(path: Path, content: str) -> tuple[Any, list[str | None]]:
    """Return the rows of a file as a table of Arrow, and the problem of each row."""
    path.write_text(content)
    table = open_table(FileInput(path))
    converter = Converter(table, ADDED)
    rows = [row for row in table.read([table.columns[0]], whole=True) if isinstance(row, Row)]
    problems = [converter.find_problem(row.record) for row in rows]
    written = converter.encode(
        [
            Extended(row.record, ["good", 0.25, 2])
            for row, problem in zip(rows, problems, strict=True)
            if problem is None
        ]
    )
    return parquet.read_table(io.BytesIO(written)), problems


def test_fields_become_texts(tmp_path: Path) -> None:
    found, problems = convert(tmp_path / "my.csv", "text,n\né,1\n,\n")
    assert found.to_pylist() == [
        {"text": "é", "n": "1", "predicted": "good", "probability": 0.25, "words": 2},
        {"text": "", "n": "", "predicted": "good", "probability": 0.25, "words": 2},
    ]
    assert [str(type_) for type_ in found.schema.types] == ["string", "string", "string", "float", "int32"]
    assert problems == [None, None]


def test_values_of_json_that_are_no_texts_become_json(tmp_path: Path) -> None:
    found, problems = convert(
        tmp_path / "my.jsonl",
        '{"text": "\\\\ud"}\n{"n": {"ü": [1]}, "text": null}\n{"text": "\\udc00"}\n',
    )
    assert found.select(["text", "n"]).to_pylist() == [{"text": "\\ud", "n": None}, {"text": None, "n": '{"ü": [1]}'}]
    assert problems == [None, None, "has a lone surrogate ('\\udc00'), which Parquet cannot have; remove it"]


def test_a_column_with_a_lone_surrogate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"my.jsonl has the column 'a\\udc00' with a lone surrogate, .*; rename it"):
        convert(tmp_path / "my.jsonl", '{"text": "a", "a\\udc00": 1}\n')


def test_a_field_with_the_name_of_an_added_column_is_a_problem(tmp_path: Path) -> None:
    _, problems = convert(tmp_path / "my.jsonl", '{"text": "a"}\n' * 100 + '{"words": 1}\n')
    assert problems[100] and problems[100].startswith("has a field 'words' already")


def test_rows_of_parquet_are_sent_without_the_others(tmp_path: Path) -> None:
    source = arrow.table({"text": [f"text {n} " * 100 for n in range(1000)], "tags": [["x"], None] * 500})
    parquet.write_table(source, tmp_path / "my.parquet")
    table = open_table(FileInput(tmp_path / "my.parquet"))
    rows = [row for row in table.read(["text"], whole=True) if isinstance(row, Row)][10:20]
    sent = pickle.dumps(compact(rows))
    assert len(sent) < len(pickle.dumps(rows)) / 10
    received = pickle.loads(sent)
    assert [(row.position, row.values) for row in received] == [(row.position, row.values) for row in rows]
    written = Converter(table, ADDED).encode([Extended(row.record, [None, None, 0]) for row in received])
    assert parquet.read_table(io.BytesIO(written)).select(["text", "tags"]).equals(source.slice(10, 10))
