import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.telemetry import sharing
from app.telemetry.sharing import LEFT_SECONDS, PREFIX, VARIABLE, hold_folder, is_locked, lock


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the folders of services."""
    monkeypatch.setattr(sharing, "MEMORY", tmp_path)
    return tmp_path


def make_old(folder: Path) -> Path:
    """Make a folder as a service left it that was killed a while ago."""
    folder.mkdir(exist_ok=True)
    (folder / "0.lock").touch()
    (folder / "counter_0.db").write_bytes(b"counts")
    old = time.time() - LEFT_SECONDS - 1
    os.utime(folder, (old, old))
    return folder


def test_a_folder_is_there_while_it_is_held_and_its_processes_find_it(root: Path) -> None:
    with hold_folder() as folder:
        assert folder.parent == root and is_locked(folder)
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


def test_what_a_killed_service_left_is_removed_by_the_next_one(root: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from app.telemetry import sharing\n"
        "sharing.MEMORY = Path(sys.argv[1])\n"
        "with sharing.hold_folder() as folder: print(folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        folder = make_old(Path(service.stdout.readline().strip()))
        with hold_folder():
            assert folder.exists()
        service.send_signal(signal.SIGKILL)
    with hold_folder():
        assert not folder.exists()


def test_a_folder_stays_while_a_worker_has_a_place_in_it(root: Path) -> None:
    folder = make_old(root / f"{PREFIX}left")
    held = lock(folder / "0.lock")
    with hold_folder():
        assert folder.exists()
    assert held is not None
    os.close(held)
    with hold_folder():
        assert not folder.exists()


def test_a_young_folder_stays_because_its_service_may_be_starting(root: Path) -> None:
    folder = root / f"{PREFIX}young"
    folder.mkdir()
    with hold_folder():
        assert folder.exists()


def test_what_cannot_be_opened_stays(root: Path) -> None:
    (root / f"{PREFIX}link").symlink_to(root / "none")
    with hold_folder():
        assert (root / f"{PREFIX}link").is_symlink()
