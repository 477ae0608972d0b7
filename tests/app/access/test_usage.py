"""The records of clients, with several users of one folder as processes are."""

import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest

from app.access.usage import Record, Usage, share_usage
from app.errors import SettingsError

ROUNDS = 200
PROCESSES = 4


def count(folder: Path) -> None:
    """Add to a record again and again."""
    usage = Usage(folder)
    for _ in range(ROUNDS):
        with usage.lock("web") as record:
            record.texts += 1
    usage.close()


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_record_has_zeros_at_first_and_what_was_written_then(tmp_path: Path, is_shared: bool) -> None:
    usage = Usage(tmp_path if is_shared else None)
    with usage.lock("web") as record:
        assert record == Record(0.0, 0.0, 0, 0)
        record.requests, record.requests_at, record.texts, record.day = 1.5, 2.5, 10**12, 20_000
    with usage.lock("web") as record:
        assert record == Record(1.5, 2.5, 10**12, 20_000)
    with usage.lock("app") as record:
        assert record == Record(0.0, 0.0, 0, 0)
    usage.close()


def test_a_record_is_not_written_if_the_block_fails(tmp_path: Path) -> None:
    usage = Usage(tmp_path)
    with pytest.raises(ValueError, match="unfit"), usage.lock("web") as record:
        record.texts = 5
        raise ValueError("unfit")
    with usage.lock("web") as record:
        assert record.texts == 0
    usage.close()


def test_two_users_of_a_folder_share_the_records(tmp_path: Path) -> None:
    first, second = Usage(tmp_path), Usage(tmp_path)
    with first.lock("web") as record:
        record.texts = 5
    with second.lock("web") as record:
        assert record.texts == 5
    first.close()
    second.close()


def test_processes_that_count_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("spawn").Process(target=count, args=[tmp_path]) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    usage = Usage(tmp_path)
    with usage.lock("web") as record:
        assert record.texts == PROCESSES * ROUNDS
    usage.close()


def test_closing_leaves_no_file_open(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    usage = Usage(tmp_path)
    for name in ("web", "app"):
        with usage.lock(name):
            pass
    usage.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_folder_exists_as_long_as_its_block() -> None:
    with share_usage() as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_without_a_place_for_files_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(SettingsError, match="/nowhere.*; set TMPDIR to a folder$"), share_usage():
        pass
