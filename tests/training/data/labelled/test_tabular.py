"""Tables of every format as texts with labels and groups."""

import json
from pathlib import Path

import pytest

from tables.table import BadRow
from training.data.labelled.formats import open_source
from training.data.labelled.source import Columns, Row

VALUES = ("good", 1, 2.0, True, None, float("nan"))


def test_labels_have_any_simple_type(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_text("\n".join(json.dumps({"text": "a", "label": value}) for value in VALUES) + '\n{"text": "b"}')
    labels = [row.label for row in open_source(path).read() if isinstance(row, Row)]
    assert labels == ["good", "1", "2.0", "true", None, "NaN", None]


def test_a_group_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("who,text,label\nanna,nice,1\n")
    source = open_source(path, Columns(group="who"))
    assert source.columns == Columns("text", "label", "who")
    assert list(source.read()) == [Row(2, "nice", "1", "anna")]
    assert source.locate(2) == f"{path}, line 2"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"label": 1}', "has nothing as 'text'; a text was expected"),
        ('{"text": 5, "label": 1}', "has a value of the type int as 'text'; a text was expected"),
        ('{"text": "a", "label": [1]}', "has a value of the type list as 'label'; a text or a number was expected"),
        ("{", "is not JSON (Expecting property name enclosed in double quotes); one object a line was expected"),
    ],
)
def test_a_row_of_other_types_is_bad(tmp_path: Path, line: str, reason: str) -> None:
    good = '{"text": "good", "label": 1}'
    path = tmp_path / "my.jsonl"
    path.write_text(f"{good}\n{line}\n{good}")
    first, bad, last = open_source(path).read()
    assert (first, last) == (Row(1, "good", "1"), Row(3, "good", "1"))
    assert isinstance(bad, BadRow) and (bad.position, bad.reason) == (2, reason)


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    arrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    path = tmp_path / "my.parquet"
    columns = {"id": [7, 8, 9], "text": ["a", None, "c"], "label": [1.0, 2.0, float("nan")]}
    parquet.write_table(arrow.table(columns), path)
    source = open_source(path, Columns(group="id"))
    assert list(source.read()) == [
        Row(1, "a", "1.0", "7"),
        BadRow(2, "has nothing as 'text'; a text was expected"),
        Row(3, "c", "NaN", "9"),
    ]
    assert source.locate(3) == f"{path}, row 3"
