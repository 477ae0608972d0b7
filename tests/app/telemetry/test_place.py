"""The files of several processes, which here are places of this one; `test_exposition` has real processes."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Metric, values

from app.folders import is_locked
from app.telemetry.buffered import Counter, Gauge, Histogram
from app.telemetry.place import CLOSED_SECONDS, CLOSED_VERSIONS, Place, Version, find_version

if TYPE_CHECKING:
    from tests.app.conftest import Log  # which takes a place in the processes of `run`

OLD, NEW = ("sentiment", "1"), ("sentiment", "2")


class Process:
    """A process with a few metrics, which has counted for some versions of models."""

    def __init__(self, folder: Path, *versions: Version, words: int = 1) -> None:
        self.place = Place(folder)
        self._value_class = values.ValueClass
        registry = CollectorRegistry()
        labels = ["model", "version"]
        self.rows = Gauge("rows", "Rows.", labels, registry=registry, multiprocess_mode="livesum")
        self.words = Counter("words", "Words.", labels, registry=registry)
        self.seconds = Histogram("seconds", "Seconds.", labels, registry=registry, buckets=(1,))
        self.all = Counter("all", "All.", registry=registry)
        self.metrics = (self.rows, self.words, self.seconds, self.all)
        for version in versions:
            self.count(*version, words=words)

    def count(self, *version: str, words: int = 1) -> None:
        """Count for a version of a model."""
        values.ValueClass = self._value_class
        self.rows.labels(*version).put(1)
        self.words.labels(*version).add(words)
        self.seconds.labels(*version).note(0.5)
        self.all.add(words)
        self.write()

    def write(self) -> None:
        """Write as `app.telemetry.metrics.write` does."""
        values.ValueClass = self._value_class
        if self.place.renew():
            for metric in self.metrics:
                metric.renew()
        for metric in self.metrics:
            metric.write()

    def read(self, name: str, *version: str) -> float | None:
        """Return a value of all processes."""
        return find(self.place.collect(), name, *version)


def find(metrics: list[Metric], name: str, *version: str) -> float | None:
    for metric in metrics:
        for sample in metric.samples:
            found = tuple(value for label, value in sample.labels.items() if label != "le")
            if sample.name == name and found == version:
                return sample.value
    return None


Run = Callable[..., None]


@pytest.fixture
def run(folder: Path) -> Run:
    """A function that runs a process which counts for a version, and ends."""

    def run(*version: str, words: int = 1) -> None:
        code = (
            "import sys; from pathlib import Path; from tests.app.telemetry.test_place import Process\n"
            f"Process(Path(sys.argv[1]), {version}, words={words})"
        )
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True)

    return run


def test_the_values_of_all_processes_are_added(folder: Path) -> None:
    first, second = Process(folder, NEW, words=2), Process(folder, NEW, words=3)
    for process in (first, second):
        assert process.read("words_total", *NEW) == 5
        assert process.read("all_total") == 5
        assert process.read("rows", *NEW) == 2
        assert process.read("seconds_bucket", *NEW) == process.read("seconds_count", *NEW) == 2
        assert process.read("seconds_sum", *NEW) == 1
    assert len({path.name for path in folder.glob("counter_*.db")}) == 4


def test_totals_stay_and_gauges_go_when_a_process_ends(folder: Path, run: Run) -> None:
    living = Process(folder, NEW)
    run(*NEW, words=4)
    assert not is_locked(folder / "1.lock")
    assert living.read("rows", *NEW) == 1
    assert living.read("words_total", *NEW) == 5
    files = set(folder.iterdir())
    run(*NEW, words=4)
    assert living.read("words_total", *NEW) == 9
    assert living.read("seconds_count", *NEW) == 3
    assert living.read("rows", *NEW) == 1
    assert set(folder.iterdir()) == files


def test_the_gauges_of_a_place_begin_anew(folder: Path, run: Run) -> None:
    run(*NEW)
    assert list(folder.glob("gauge_livesum_0*.db"))
    process = Process(folder)
    assert not list(folder.glob("gauge_*.db"))
    process.count(*NEW)
    assert process.read("rows", *NEW) == 1
    assert process.read("words_total", *NEW) == 2


def wait(folder: Path, pattern: str = "*-*.db", seconds: float = CLOSED_SECONDS) -> None:
    """Let files be older by some seconds."""
    for path in folder.glob(pattern):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def test_a_version_goes_some_time_after_every_process_has_closed_it(folder: Path) -> None:
    first, second = Process(folder, OLD, NEW), Process(folder, OLD, NEW)
    first.place.keep({None, NEW})
    wait(folder)
    assert first.read("words_total", *OLD) == 2  # a total that falls would look like a restart
    assert first.read("rows", *OLD) == 1
    second.place.keep({None, NEW})
    assert first.read("words_total", *OLD) == 2  # also that of the first process, which closed it earlier
    assert first.read("rows", *OLD) is None
    wait(folder, seconds=CLOSED_SECONDS - 5)
    assert first.read("seconds_count", *OLD) == 2
    wait(folder, seconds=5)
    assert first.read("words_total", *OLD) is None
    assert first.read("words_total", *NEW) == 2
    assert first.read("all_total") == 4
    assert len(list(folder.glob("*-*.db"))) == 6


def test_only_the_latest_closed_versions_keep_their_totals_even_if_nobody_reads(folder: Path) -> None:
    process = Process(folder)
    for number in range(2 * CLOSED_VERSIONS):
        process.count("model", str(number))
        process.place.keep({None})
        assert len(list(folder.glob("counter_*-*.db"))) == min(number + 1, CLOSED_VERSIONS)
        wait(folder, seconds=0.1)  # otherwise several are closed in one tick of the file system
    kept = [number for number in range(2 * CLOSED_VERSIONS) if process.read("words_total", "model", str(number))]
    assert kept == [*range(CLOSED_VERSIONS, 2 * CLOSED_VERSIONS)]


def test_a_version_is_closed_while_another_process_collects(folder: Path) -> None:
    process = Process(folder, OLD)
    wait(folder)
    with (folder / "collecting").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process.place.keep({None})
    assert process.read("words_total", *OLD) == 1


def test_a_version_that_was_closed_can_be_opened_again(folder: Path) -> None:
    process = Process(folder, OLD)
    process.place.keep({None})
    process.rows.keep(lambda _: False)
    process.words.keep(lambda _: False)
    process.seconds.keep(lambda _: False)
    process.count(*OLD, words=3)
    assert process.read("words_total", *OLD) == 4
    assert process.read("rows", *OLD) == 1


def test_a_version_of_a_process_that_was_killed_goes_too(folder: Path, run: Run) -> None:
    process = Process(folder, NEW)
    run(*OLD)
    assert process.read("words_total", *OLD) == 1
    wait(folder)
    assert process.read("words_total", *OLD) is None
    assert process.read("words_total", *NEW) == 1


def test_a_file_that_is_being_made_or_removed_has_no_values(folder: Path) -> None:
    process = Process(folder, NEW)
    (folder / "histogram_1.db").touch()
    (folder / "counter_1.db").symlink_to(folder / "none")
    assert process.read("all_total") == 1


def test_names_may_have_any_characters(folder: Path) -> None:
    process = Process(folder, ("../a_b*[c]", "1"))
    assert process.read("words_total", "../a_b*[c]", "1") == 1


def test_processes_collect_one_after_the_other(folder: Path) -> None:
    processes = [Process(folder) for _ in range(2)]
    failed: list[BaseException] = []

    def collect(process: Process) -> None:
        try:
            for _ in range(50):
                process.place.collect()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=collect, args=[process]) for process in processes]
    for thread in threads:
        thread.start()
    for number in range(50):
        processes[1].count("model", str(number))
        processes[1].place.keep({None})
    for thread in threads:
        thread.join()
    assert not failed


def test_in_a_folder_that_was_removed_all_processes_begin_anew(folder: Path, log: "Log") -> None:
    first, second = Process(folder, NEW, words=2), Process(folder, NEW, words=3)
    for _ in range(2):
        shutil.rmtree(folder)
        for process in (second, first):  # in another order, so that they change places
            process.write()
        for process in (first, second):
            assert process.read("rows", *NEW) == 2  # a gauge stays
            assert process.read("words_total", *NEW) == process.read("seconds_count", *NEW) == 0
        assert log.wait_for(level="WARNING")["message"] == f"the metrics begin anew in the folder {folder}"
    second.count(*NEW, words=4)
    first.count(*OLD, words=5)
    assert first.read("words_total", *NEW) == 4
    assert first.read("words_total", *OLD) == 5
    assert first.read("all_total") == 9


def test_a_process_starts_without_the_folder_and_makes_it_again(folder: Path) -> None:
    shutil.rmtree(folder)
    assert Process(folder, NEW).read("rows", *NEW) == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_a_folder_a_process_counts_what_nobody_sees_until_there_is_one(folder: Path, log: "Log") -> None:
    running = Process(folder, NEW)
    shutil.rmtree(folder)
    folder.touch()  # where no folder can be made
    starting = Process(folder, NEW)
    for process in (running, starting):
        process.count(*NEW)
        process.count(*OLD)
        with pytest.raises(NotADirectoryError):
            process.read("all_total")
    folder.unlink()
    for process in (running, starting):
        process.write()
        process.count(*NEW)
    assert starting.read("words_total", *NEW) == 2
    assert starting.read("rows", *NEW) == starting.read("rows", *OLD) == 2
    missing, _ = (log.wait_for(level="ERROR")["message"] for _ in range(2))
    assert missing.startswith(f"metrics are missing, as {folder} cannot hold them: ")
    log.wait_for(level="WARNING")
    assert log.text.count("are missing") == 2  # each process logs it once


def test_nothing_is_written_to_a_folder_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    Process(folder, NEW)
    assert not list(folder.iterdir())


def test_a_metric_that_is_made_after_the_folder_was_removed_is_shared_later(folder: Path, log: "Log") -> None:
    process = Process(folder)
    shutil.rmtree(folder)
    process.rows.labels(*NEW).put(1)
    process.words.labels(*NEW).add(2)
    assert "No such file" in log.wait_for(level="ERROR")["message"]
    process.write()
    assert process.read("rows", *NEW) == 1


def test_files_have_space_for_all_that_may_be_written_to_them(folder: Path) -> None:
    process = Process(folder, NEW)
    for length in (10, 100, 3000, 20_000):
        process.count("m" * length, "1")
        process.count("\N{SNOWMAN}" * length, "1")
        assert process.read("words_total", "\N{SNOWMAN}" * length, "1") == 1
    found = [path.stat() for path in folder.glob("*.db")]
    assert found and all(512 * file.st_blocks >= file.st_size for file in found)
    assert max(file.st_size for file in found) > 60_000


FULL = """
import sys
from pathlib import Path
from tests.app.telemetry.test_place import Process

process = Process(Path(sys.argv[1]))
for number in range(200):
    process.count("model", str(number))
print(process.read("all_total"))
"""


def test_on_a_full_file_system_metrics_are_missing_and_the_process_lives(folder: Path) -> None:
    own = ["unshare", "--user", "--map-root-user", "--mount"]  # a view of the file systems in which it may mount one
    if not shutil.which("unshare") or subprocess.run([*own, "mount", "-t", "tmpfs", "none", folder]).returncode:
        pytest.skip("needs a file system of its own")
    mount = 'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1"'
    ended = subprocess.run(
        [*own, "sh", "-c", mount, "sh", folder, sys.executable, FULL], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "200.0\n"
    assert ended.stderr == f"metrics are missing, as {folder} cannot hold them: [Errno 28] {os.strerror(28)}\n"


@pytest.mark.parametrize(
    ("labels", "version"),
    [
        ({"model": "a", "version": "1"}, ("a", "1")),
        ({"model": "a", "version": ""}, None),
        ({"model": "", "version": ""}, None),
        ({"version": "1"}, None),
        ({}, None),
    ],
)
def test_the_labels_of_a_metric_may_name_a_version(labels: dict[str, str], version: tuple[str, str] | None) -> None:
    assert find_version(labels) == version
