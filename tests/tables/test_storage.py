import gzip
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from tables.delimited import Delimited
from tables.errors import TableError
from tables.formats import open_table
from tables.parquet import Parquet
from tables.storage import Storage, Stored
from tables.table import Row
from tests.tables.test_parquet import write

BOTH = pytest.mark.parametrize("scheme", ["", "file://"])


@BOTH
def test_files_are_listed_by_name_without_hidden_ones(tmp_path: Path, scheme: str) -> None:
    for name in ("b.csv", "a/z.csv", "_journal.json", ".part", "_aside/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text\n")
    found = Storage(f"{scheme}{tmp_path}").list()
    assert [(one.name, one.size) for one in found] == [("a/z.csv", 5), ("b.csv", 5)]
    assert found[1].changed == (tmp_path / "b.csv").stat().st_mtime_ns


@BOTH
def test_one_file_is_a_place_too(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "my.csv").write_text("text\ngood\n")
    storage = Storage(f"{scheme}{tmp_path}/my.csv")
    (stored,) = storage.list()
    table = open_table(storage.open(stored))
    assert [row.values for row in table.read(["text"]) if isinstance(row, Row)] == [("good",)]


def test_a_place_contains_itself_and_what_is_below_it(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert all(
        storage.contains(Storage(f"{place}")) for place in (tmp_path, f"file://{tmp_path}/", tmp_path / "a" / "b")
    )
    assert not any(storage.contains(Storage(place)) for place in (f"{tmp_path}-other", str(tmp_path.parent)))


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Storage(str(tmp_path / "none")).list() == []


def test_a_place_that_cannot_be_listed_is_named() -> None:
    with pytest.raises(TableError, match="xxx cannot be read .*File name too long"):
        Storage(f"/{'x' * 300}").list()


@BOTH
def test_what_is_written_is_read(tmp_path: Path, scheme: str) -> None:
    storage = Storage(f"{scheme}{tmp_path}/new/folder")
    assert storage.read("a.txt") is None
    storage.write("a.txt", b"one")
    storage.write("a.txt", b"two")
    assert storage.read("a.txt") == b"two"
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.txt"]


def test_a_folder_is_not_read_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        Storage(str(tmp_path.parent)).read(tmp_path.name)


def test_an_unknown_kind_of_storage_is_refused() -> None:
    with pytest.raises(TableError, match="nowhere://x cannot be used .*; write it such as s3://bucket/folder"):
        Storage("nowhere://x")


@pytest.mark.parametrize("packed", [False, True])
def test_a_text_file_is_read_again_and_again_with_its_share(tmp_path: Path, packed: bool) -> None:
    name = "my.csv.gz" if packed else "my.csv"
    content = b"text\n" + b"a good film\n" * 500_000
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if packed else content)
    storage = Storage(str(tmp_path))
    (stored,) = storage.list()
    table = open_table(storage.open(stored))
    assert isinstance(table, Delimited)
    for _ in range(2):
        assert table.share is None
        rows = table.read(["text"])
        next(rows)
        assert 0 < (table.share or 0) < 1 or packed
        assert sum(1 for _ in rows) == 499_999


def test_parquet_is_read_with_its_share(tmp_path: Path) -> None:
    write(tmp_path / "my.parquet", {"text": [f"text {number}" for number in range(8000)]})
    storage = Storage(f"file://{tmp_path}")
    (stored,) = storage.list()
    table = open_table(storage.open(stored))
    assert isinstance(table, Parquet)
    rows = table.read(["text"])
    next(rows)
    assert table.share == 1 / 8000
    assert sum(1 for _ in rows) == 7999


def test_a_file_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    gone = Storage(str(tmp_path)).open(Stored("gone.parquet", 5, 0))
    with pytest.raises(TableError, match="gone.parquet cannot be read"):
        gone.read_start()
    with pytest.raises(TableError, match="gone.parquet cannot be read"), gone.open_at_any_place():
        pass
