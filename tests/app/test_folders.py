"""Folders of services, among them some that were killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.folders import LEFT_SECONDS, hold, is_locked, lock, make_again

PREFIX = "lstm-serve-tests-"


def make_old(folder: Path) -> Path:
    """Make a folder as a service left it that was killed a while ago."""
    folder.mkdir(exist_ok=True)
    (folder / "0.lock").touch()
    (folder / "counter_0.db").write_bytes(b"counts")
    old = time.time() - LEFT_SECONDS - 1
    os.utime(folder, (old, old))
    return folder


def test_a_folder_is_there_while_it_is_held(tmp_path: Path) -> None:
    with hold(PREFIX, tmp_path) as folder:
        assert folder.parent == tmp_path and folder.name.startswith(PREFIX) and is_locked(folder)
        (folder / "file").touch()
    assert not folder.exists()


def test_a_folder_that_somebody_has_removed_is_no_error_at_the_end(tmp_path: Path) -> None:
    with hold(PREFIX, tmp_path) as folder:
        folder.rmdir()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_service_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from app.folders import hold\n"
        f"with hold({PREFIX!r}, Path(sys.argv[1])) as folder: print(folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        folder = make_old(Path(service.stdout.readline().strip()))
        with hold(PREFIX, tmp_path):
            assert folder.exists()
        service.send_signal(signal.SIGKILL)
    with hold(PREFIX, tmp_path):
        assert not folder.exists()


def test_a_folder_stays_while_a_worker_has_a_lock_in_it(tmp_path: Path) -> None:
    folder = make_old(tmp_path / f"{PREFIX}left")
    held = lock(folder / "0.lock")
    with hold(PREFIX, tmp_path):
        assert folder.exists()
    assert held is not None
    os.close(held)
    with hold(PREFIX, tmp_path):
        assert not folder.exists()


def test_a_young_folder_stays_because_its_service_may_be_starting(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}young"
    folder.mkdir()
    with hold(PREFIX, tmp_path):
        assert folder.exists()


def test_what_cannot_be_opened_and_what_others_made_stay(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "none")
    other = make_old(tmp_path / "other")
    with hold(PREFIX, tmp_path):
        assert (tmp_path / f"{PREFIX}link").is_symlink() and other.exists()


def test_a_folder_that_is_there_stays_and_a_removed_one_is_made_for_its_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_again(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "file").touch()
    make_again(folder)
    assert (folder / "file").exists()


def test_a_folder_of_another_user_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(PermissionError, match="another user has made this folder"):
        make_again(tmp_path)
