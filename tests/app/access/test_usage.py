"""The records of clients, with several users of one folder as processes are."""

import multiprocessing
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.access.usage import PREFIX, Record, Usage, share_usage
from app.errors import SettingsError
from app.folders import LEFT_SECONDS
from tests.app.conftest import Log

ROUNDS = 200
PROCESSES = 4


def count(folder: Path) -> None:
    """Add to a record again and again."""
    usage = Usage(folder)
    for _ in range(ROUNDS):
        with usage.lock("web") as record:
            record.texts += 1
    usage.close()


def add_texts(usage: Usage, texts: int, name: str = "web") -> int:
    """Add to the texts of a client, and return how many there are now."""
    with usage.lock(name) as record:
        record.texts += texts
        return record.texts


@contextmanager
def no_space() -> Iterator[None]:
    """Let every write to a file fail while the block runs, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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


def test_what_a_killed_service_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "web").touch()
    old = left.stat().st_mtime - LEFT_SECONDS - 1
    os.utime(left, (old, old))
    with share_usage() as folder:
        assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("counted", [0, 3])
def test_on_a_full_disk_each_process_counts_alone_until_there_is_space(tmp_path: Path, log: Log, counted: int) -> None:
    usages = [Usage(tmp_path), Usage(tmp_path)]
    for usage in usages:
        add_texts(usage, counted)
    counted *= 2
    with no_space():
        assert [add_texts(usage, 1) for usage in usages] == [counted + 1] * 2
        assert [add_texts(usages[0], 1) for _ in range(3)] == [counted + 2, counted + 3, counted + 4]
        for _ in usages:
            assert log.wait_for(level="ERROR")["message"].startswith(
                "each process counts the client web alone until its file can be used: [Errno 27] File too large"
            )
    assert [add_texts(usage, 1) for usage in usages] == [counted + 5, counted + 6]
    for _ in usages:
        log.wait_for(message="the processes count the client web together again")
    assert log.text.count("alone") == len(usages)  # each of them once
    for usage in usages:
        usage.close()


def test_a_removed_folder_is_made_again_and_the_count_goes_on(tmp_path: Path, log: Log) -> None:
    folder = tmp_path / "usage"
    usages = [Usage(folder), Usage(folder)]
    assert [add_texts(usage, 5) for usage in usages] == [5, 10]
    for _ in range(2):
        before = set(os.listdir("/proc/self/fd"))
        shutil.rmtree(folder)
        texts = add_texts(usages[1], 5)
        assert texts >= 15 and add_texts(usages[0], 5) == texts + 5
        assert add_texts(Usage(folder), 5) == texts + 10  # of a new process
        assert len(set(os.listdir("/proc/self/fd")) - before) <= 1
    for usage in usages:
        usage.close()
    assert log.text == ""


def test_without_its_folder_each_process_counts_alone(tmp_path: Path, log: Log) -> None:
    folder = tmp_path / "usage"
    usage = Usage(folder)
    assert add_texts(usage, 5) == 5
    shutil.rmtree(folder)
    folder.touch()
    assert [add_texts(usage, 5) for _ in range(2)] == [10, 15]
    assert add_texts(Usage(folder), 5) == 5
    assert "File exists" in log.wait_for(level="ERROR")["message"]
    folder.unlink()
    assert add_texts(usage, 5) == add_texts(Usage(folder), 0) == 20
    log.wait_for(message="the processes count the client web together again")
    usage.close()


def test_a_file_that_cannot_be_read_keeps_no_process_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "web")
    usages = [Usage(tmp_path), Usage(tmp_path)]
    for texts in (1, 2):
        assert [add_texts(usage, 1) for usage in usages] == [texts] * 2


def test_a_record_that_is_not_shared_is_not_kept_if_the_block_fails() -> None:
    usage = Usage(None)
    add_texts(usage, 5)
    with pytest.raises(ValueError, match="unfit"), usage.lock("web") as record:
        record.texts = 9
        raise ValueError("unfit")
    assert add_texts(usage, 0) == 5


def test_without_a_place_for_files_the_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(SettingsError, match="/nowhere.*; set TMPDIR to a folder$"), share_usage():
        pass
