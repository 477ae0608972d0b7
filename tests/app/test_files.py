from pathlib import Path

import pytest

from app.files import replace_file


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".keys.json.new"
    left.write_text("half of the te")
    left.chmod(0o400)
    replace_file(tmp_path / "keys.json", "the text", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    assert (tmp_path / "keys.json").read_text() == "the text"
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "keys.json", "the text", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("before")
    path.chmod(0o640)
    replace_file(path, "after", 0o600)
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640
