import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from training.data.labelled.formats import open_source
from training.data.labelled.source import BadRow, Columns, Row
from training.errors import DataError

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
    source = open_source(write(tmp_path / "my.parquet", columns), Columns(group="id"))
    rows = list(source.read())
    assert rows == [Row(n + 1, f"review {n}", str(n % 5), str(n)) for n in range(10_000)]
    assert list(source.read()) == rows
    assert source.locate(3) == f"{tmp_path / 'my.parquet'}, row 3"
    assert source.format == "Parquet" and source.encoding is None


@needs_pyarrow
def test_missing_labels_and_bad_texts(tmp_path: Path) -> None:
    columns = {"text": ["a", None, "c"], "label": [1.0, 2.0, float("nan")]}
    first, bad, last = open_source(write(tmp_path / "my.parquet", columns)).read()
    assert (first, last) == (Row(1, "a", "1.0"), Row(3, "c", None))
    assert bad == BadRow(2, "has nothing as 'text'; a text was expected")


@needs_pyarrow
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "my.parquet", {"text": ["a"], "label": [1]})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="my.parquet cannot be read"):
        open_source(path)


WITHOUT = """
import sys
from pathlib import Path
sys.modules["pyarrow"] = None
from training.data.labelled.formats import open_source
open_source(Path(sys.argv[1]))
"""


def test_without_pyarrow_the_message_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "my.parquet"
    path.write_bytes(b"PAR1....PAR1")
    result = subprocess.run([sys.executable, "-c", WITHOUT, str(path)], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"training.errors.MissingPackageError: {path} is a Parquet file, and pyarrow is not installed; "
        "run `pip install pyarrow`, or write the data as CSV or JSON Lines"
    )
