from pathlib import Path
from zipfile import ZipFile

import pytest

from training.files import compress, replacing


def test_a_file_takes_the_place_of_another_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "file"):
        pass


def test_an_archive_is_made_smaller_and_holds_the_same(tmp_path: Path) -> None:
    path, files = tmp_path / "archive.zip", {"a": b"a" * 1000, "folder/b": bytes(1000)}
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    before = path.stat().st_size
    compress(path)
    assert path.stat().st_size < before / 4
    with ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
