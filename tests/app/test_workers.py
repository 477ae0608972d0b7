"""The order in which processes of one port load: with locks in one process, and with a real service of two."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from app.workers import Turn, on_ending
from benchmarks.servers import find_free_port
from bundle.store import Store
from tests.conftest import SECONDS, serve


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseProcess:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return multiprocessing.current_process()


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of one model."""
    store = Store(tmp_path / "models")
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment")
    return store


@pytest.mark.usefixtures("parent")
def test_a_process_that_is_alone_is_first_and_leaves_nothing(tmp_path: Path) -> None:
    turn = Turn(None)
    assert turn.is_first
    turn.end()
    turn.close()
    assert not list(tmp_path.iterdir())


def test_others_wait_until_the_first_is_ready(tmp_path: Path, parent: BaseProcess) -> None:
    first, second, third = Turn(parent), Turn(parent), Turn(parent)
    assert [turn.is_first for turn in (first, second, third)] == [True, False, False]
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(turn.wait) for turn in (second, third)]
        with pytest.raises(TimeoutError):
            waiting[0].result(0.1)
        first.end()
        for wait in waiting:
            wait.result(SECONDS)
    for turn in (first, second, third):
        assert list(tmp_path.iterdir())
        turn.close()
    assert not list(tmp_path.iterdir())


def test_who_takes_the_place_of_the_first_waits_if_others_are_ready(parent: BaseProcess) -> None:
    first, second = Turn(parent), Turn(parent)
    first.end()
    second.wait()
    first.close()
    replacement = Turn(parent)
    assert not replacement.is_first
    second.close()
    replacement.close()
    again = Turn(parent)
    assert again.is_first
    again.close()


def test_one_that_is_not_first_answers_only_when_its_models_are_loaded(
    store: Store, parent: BaseProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Turn(parent)
    first.end()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    with serve(Settings(models=store.root), loaded=False) as client:
        assert client.get("/readyz").status_code == 200
    first.close()


def test_who_is_told_to_end_hears_of_it_besides_others() -> None:
    heard: list[str] = []
    terminate = signal.signal(signal.SIGTERM, lambda *_: heard.append("others"))
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with on_ending(lambda: heard.append("this")):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)
    assert heard == ["this", "others", "this", "others"]


@contextmanager
def _serve_with_workers(store: Store, log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "LSTM_SERVE_MODELS": str(store.root),
        "LSTM_SERVE_PORT": str(port),
        "LSTM_SERVE_DEADLINE_MS": "60000",
    }
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "app"], env=environment, stderr=stderr)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0


def _loaded(log: Path) -> int:
    """Return how many models were loaded, by all processes together."""
    complete = log.read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in complete.splitlines()]
    return [line["message"] for line in lines].count("loaded")


def _ask_until(url: str, log: Path, loaded: int) -> set[int]:
    """Ask over new connections until so many models were loaded, and a little longer; return the statuses."""
    statuses, end = set(), time.monotonic() + SECONDS
    while _loaded(log) < loaded:
        assert time.monotonic() < end
        statuses.add(_ask(url))
        time.sleep(0.02)  # who loads needs the processor
    return statuses | {_ask(url) for _ in range(200)}


def _ask(url: str) -> int:
    """Return the status, 0 if the process that had the connection was killed."""
    try:
        # Without certificates, which would cost more than all the rest each time.
        return httpx.post(f"{url}/sentiment", json={"text": "good"}, verify=False, timeout=SECONDS).status_code
    except httpx.TransportError:
        return 0


def test_one_that_is_told_to_end_loads_nothing_more(small_store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _serve_with_workers(small_store, log, find_free_port()):
        end = time.monotonic() + SECONDS
        while not _loaded(log):
            assert time.monotonic() < end
            time.sleep(0.01)
    assert 1 <= _loaded(log) < len(small_store.names())


def test_two_processes_answer_on_one_port_and_never_before_they_are_ready(store: Store, tmp_path: Path) -> None:
    port = find_free_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    with _serve_with_workers(store, log, port) as process:
        end = time.monotonic() + SECONDS
        statuses = set()
        while 200 not in statuses:
            assert time.monotonic() < end
            try:
                statuses.add(httpx.get(f"{url}/readyz", verify=False).status_code)
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        assert statuses <= {200, 503}
        assert _ask_until(url, log, 2) == {200}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        victim = next(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())
        os.kill(victim, signal.SIGKILL)
        assert _ask_until(url, log, 3) <= {200, 0}
        assert {_ask(url) for _ in range(200)} == {200}
