import os
import tempfile
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.folders import is_locked
from app.telemetry import sharing
from app.telemetry.sharing import PREFIX, VARIABLE, hold_folder


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the folders of services."""
    monkeypatch.setattr(sharing, "MEMORY", tmp_path)
    return tmp_path


def test_a_folder_is_there_while_it_is_held_and_its_processes_find_it(root: Path) -> None:
    with hold_folder() as folder:
        assert folder.parent == root and folder.name.startswith(PREFIX) and is_locked(folder)
        assert os.environ[VARIABLE] == str(folder)
        (folder / "counter_0.db").touch()
    assert not folder.exists()
    assert VARIABLE not in os.environ


def test_a_folder_of_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/mine")
    with hold_folder() as folder:
        assert os.environ[VARIABLE] == str(folder)
    assert os.environ[VARIABLE] == "/mine"


def test_without_memory_it_is_among_the_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sharing, "MEMORY", tmp_path / "none")
    with hold_folder() as folder:
        assert folder.parent == Path(tempfile.gettempdir())


def test_a_folder_that_cannot_be_made_is_an_error_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sharing, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none, too"))
    with pytest.raises(SettingsError, match="cannot make a folder .*No such file or directory; mount a tmpfs"):
        with hold_folder():
            raise AssertionError
