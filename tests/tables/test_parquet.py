import io
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tables.errors import TableError
from tables.inputs import FileInput, PipeInput
from tables.parquet import Parquet
from tables.table import Row

needs_pyarrow = pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is not installed")


def write(path: Path, columns: dict[str, Any]) -> Path:
    table = import_module("pyarrow").table(columns)
    import_module("pyarrow.parquet").write_table(table, path, row_group_size=1000)
    return path


@needs_pyarrow
def test_rows_are_read_in_order_over_batches_and_groups_of_rows(tmp_path: Path) -> None:
    columns = {
        "id": range(10_000),
        "stars": [number % 5 for number in range(10_000)],
        "review": [f"review {number}" for number in range(10_000)],
    }
    table = Parquet(FileInput(write(tmp_path / "my.parquet", columns)))
    rows = list(table.read(["review", "id"]))
    assert [(row.position, row.values) for row in rows if isinstance(row, Row)] == [
        (n + 1, (f"review {n}", n)) for n in range(10_000)
    ]
    assert table.columns == ("id", "stars", "review")
    assert table.locate(3) == f"{tmp_path / 'my.parquet'}, row 3"
    assert table.format == "Parquet" and table.encoding is None


@needs_pyarrow
def test_a_record_is_a_batch_and_an_index(tmp_path: Path) -> None:
    columns = {"text": ["a", None, "c"], "tags": [["x"], [], None]}
    table = Parquet(FileInput(write(tmp_path / "my.parquet", columns)))
    *_, last = table.read(["text"], whole=True)
    assert isinstance(last, Row) and last.values == ("c",)
    batch, index = last.record
    assert batch.schema == table.schema and batch.to_pydict() == columns and index == 2


@needs_pyarrow
def test_memory_does_not_grow_with_the_groups_of_rows(tmp_path: Path) -> None:
    arrow, random = import_module("pyarrow"), Random(1)
    columns = {"text": [random.randbytes(300).hex() for _ in range(60_000)]}  # 36 MB, which no codec makes small
    table = Parquet(FileInput(write(tmp_path / "my.parquet", columns)))
    del columns
    held = [arrow.total_allocated_bytes() for number, _ in enumerate(table.read(["text"])) if number % 1000 == 999]
    assert max(held[30:]) < max(held[:30]) + 2_000_000


@needs_pyarrow
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "my.parquet", {"text": ["a"], "label": [1]})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="my.parquet cannot be read"):
        Parquet(FileInput(path))


@needs_pyarrow
def test_a_pipe_is_refused() -> None:
    with pytest.raises(TableError, match="standard input is Parquet, which cannot be read from a pipe; write it to a"):
        Parquet(PipeInput(io.BufferedReader(io.BytesIO(b"PAR1"))))


def test_without_pyarrow_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "my.parquet"
    path.write_bytes(b"PAR1....PAR1")
    with pytest.raises(TableError) as refused:
        Parquet(FileInput(path))
    assert str(refused.value) == (
        f"{path} is a Parquet file, and pyarrow is not installed; run `pip install pyarrow`, or write the data as CSV "
        "or JSON Lines"
    )
