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
    assert found[1].modified_ns == (tmp_path / "b.csv").stat().st_mtime_ns


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
    assert Storage("mock:///a").contains(Storage("mock:///b")) is False  # each address has a system of its own


def test_links_are_followed_to_find_what_a_place_contains(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert Storage(str(tmp_path / "a")).contains(Storage(str(tmp_path / "link" / "b")))
    assert Storage(str(tmp_path / "link")).contains(Storage(f"file://{tmp_path}/a/b"))


def test_a_path_becomes_absolute_and_a_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage("my")
    assert storage.location == storage.name == str(tmp_path / "my")
    assert storage.show("a.csv") == str(tmp_path / "my" / "a.csv")
    secret = Storage("mock://me:secret@host/folder/")
    assert (secret.location, secret.show("a.csv")) == ("mock://me:secret@host/folder/", "mock://host/folder/a.csv")
    with pytest.raises(TableError, match="^nowhere://host/x cannot be used"):
        Storage("nowhere://me:secret@host/x")


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Storage(str(tmp_path / "none")).list() == []


def test_a_place_that_cannot_be_listed_is_named() -> None:
    with pytest.raises(TableError, match="xxx cannot be read .*File name too long"):
        Storage(f"/{'x' * 300}").list()


@BOTH
def test_what_is_written_is_read(tmp_path: Path, scheme: str) -> None:
    storage = Storage(f"{scheme}{tmp_path}/new/folder")
    storage.create()
    storage.create()
    assert storage.read("a.txt") is None
    storage.write("a.txt", b"one")
    storage.write("a.txt", b"two")
    assert storage.read("a.txt") == b"two"
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.txt"]


def test_without_its_folder_a_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Storage(str(tmp_path / "new")).write("a.txt", b"one")


def test_an_object_store_writes_a_file_as_a_whole_by_itself() -> None:
    storage = Storage("mock:///")
    storage.create()
    storage.write("a.txt", b"one")
    storage.remove_unfinished()
    (stored,) = storage.list()
    assert (stored.name, stored.size, stored.modified_ns % 10**9, storage.read("a.txt")) == ("a.txt", 3, 0, b"one")
    assert storage.look("a.txt") == stored


def test_a_file_is_looked_at_and_removed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    storage.write("a.txt", b"one")
    assert [storage.look("a.txt")] == storage.list()
    storage.remove("a.txt")
    storage.remove("a.txt")
    assert storage.look("a.txt") is None


def test_what_was_half_written_is_removed(tmp_path: Path) -> None:
    names = (".a.txt.0123.unfinished", ".mine", "a.unfinished")
    for name in names:
        (tmp_path / name).touch()
    Storage(str(tmp_path)).remove_unfinished()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "a.unfinished"]


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
    with pytest.raises(TableError, match="gone.parquet cannot be read"), gone.open_seekable():
        pass
