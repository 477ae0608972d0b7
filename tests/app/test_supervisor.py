"""The processes of one port: as objects of this process, and as a real service of two."""

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import pytest

from app import supervisor
from app.supervisor import SHORTEST_PAUSE_SECONDS, Supervisor
from bundle.store import Store
from tests.app import workers
from tests.app.service import Service, find_workers, run_service
from tests.conftest import BAD, GOOD, SECONDS


@pytest.fixture(autouse=True)
def restored_handlers() -> Iterator[None]:
    """Put back the signal handlers that a supervisor sets."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, memory: Path) -> Callable[[str], int]:
    """Return how often something was logged, in a container where the kernel killed a process before."""
    del memory
    caplog.set_level(logging.INFO, "app")
    return lambda part: sum(part in message for message in caplog.messages)


def supervise(supervisor: Supervisor, act: Callable[[], object]) -> int:
    """Run a supervisor in this process; act beside it, and then tell it to end. Return its exit status."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    acting = threading.Thread(target=run)
    # Before the supervisor sets its own handler, the signal must not end the tests.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    acting.start()
    status = supervisor.run()
    acting.join(SECONDS)
    if errors:
        raise errors[0]
    return status


def wait_until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def children() -> set[int]:
    """Return the numbers of this process's workers."""
    return set(find_workers(os.getpid()))


def test_it_ends_if_no_worker_can_start(told: Callable[[str], int]) -> None:
    assert Supervisor(workers.fail, 2, SECONDS).run() == 1
    assert told(f"a worker ended with status {workers.STATUS}")
    assert told("no worker can start") == 1


def test_a_worker_that_ends_again_and_again_is_replaced_after_longer_and_longer_pauses(
    told: Callable[[str], int],
) -> None:
    started = time.monotonic()
    ended = f"a worker ended with status {workers.STATUS}"
    assert supervise(Supervisor(workers.fail_when_ready, 1, SECONDS), lambda: wait_until(lambda: told(ended) == 4)) == 0
    assert time.monotonic() - started > SHORTEST_PAUSE_SECONDS * (1 + 2)  # the first pause is none


def test_pauses_begin_anew_when_a_worker_has_been_ready_for_long(
    told: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0)
    ended = f"a worker ended with status {workers.STATUS}"
    assert supervise(Supervisor(workers.fail_when_ready, 1, SECONDS), lambda: wait_until(lambda: told(ended) == 3)) == 0


def test_a_worker_that_does_not_end_is_killed(told: Callable[[str], int]) -> None:
    def act() -> None:
        wait_until(lambda: told("is ready"))
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: told("told by SIGINT to end"))  # and by SIGTERM once more

    assert supervise(Supervisor(workers.refuse_to_end, 1, 0.3), act) == 0
    assert told("a worker is killed: it has not ended within 0.3 s") == 1
    assert not children()


def test_a_silent_worker_is_killed_and_replaced(told: Callable[[str], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.5)
    killed = "a worker is killed: it has not reported for 0.5 s"
    assert supervise(Supervisor(workers.fall_silent, 1, SECONDS), lambda: wait_until(lambda: told(killed) == 2)) == 0
    assert told("a worker ended by SIGKILL") >= 1


def test_a_worker_that_is_not_ready_in_time_is_killed(
    told: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "START_SECONDS", 1)
    killed = "a worker is killed: it was not ready within 1 s"
    assert supervise(Supervisor(workers.never_be_ready, 1, SECONDS), lambda: wait_until(lambda: told(killed))) == 0


def test_workers_are_not_killed_for_a_pause_of_the_whole_machine(
    told: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.5)
    paused = threading.Event()

    def pause(connections: Sequence[Connection], seconds: float) -> None:
        """Wait as always, but once for longer than a worker may be silent, without reading what it reports."""
        wait(connections, seconds)
        if told("is ready") and not paused.is_set():
            os.kill(min(children()), signal.SIGSTOP)
            time.sleep(1)
            os.kill(min(children()), signal.SIGCONT)
            paused.set()

    monkeypatch.setattr(supervisor, "wait", pause)

    def act() -> None:
        assert paused.wait(SECONDS)
        time.sleep(0.5)

    assert supervise(Supervisor(workers.report, 1, SECONDS), act) == 0
    assert not told("killed")


def test_sighup_replaces_the_workers_one_by_one(told: Callable[[str], int]) -> None:
    most = 0

    def act() -> None:
        nonlocal most
        wait_until(lambda: told("is ready") == 2)
        before = children()
        os.kill(os.getpid(), signal.SIGHUP)

        def are_replaced() -> bool:
            nonlocal most
            now = children()
            most = max(most, len(now))
            return len(now) == 2 and not now & before

        wait_until(are_replaced)

    assert supervise(Supervisor(workers.report, 2, SECONDS), act) == 0
    assert most == 3
    assert told("told by SIGHUP to renew") == 1


def test_many_sighups_start_no_more_workers_than_one(told: Callable[[str], int]) -> None:
    def act() -> None:
        wait_until(lambda: told("is ready") == 2)
        before = children()
        most = 0

        def is_told(times: int) -> bool:
            return told("told by SIGHUP") == times

        for number in range(1, 6):
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(partial(is_told, number))
            most = max(most, len(children()))
        wait_until(lambda: len(children()) == 2 and not children() & before)
        assert most <= 4  # of them one that was killed may not be gone yet

    assert supervise(Supervisor(workers.report, 2, SECONDS), act) == 0


def test_workers_stay_if_their_successors_cannot_start(told: Callable[[str], int], tmp_path: Path) -> None:
    def act() -> None:
        wait_until(lambda: told("is ready") == 2)
        before = children()
        (tmp_path / "broken").touch()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: told(f"a worker ended with status {workers.STATUS}"))
        time.sleep(0.3)
        assert children() == before

    assert supervise(Supervisor(partial(workers.report_unless, tmp_path / "broken"), 2, SECONDS), act) == 0


def test_it_says_once_that_memory_ran_out(told: Callable[[str], int], memory: Path) -> None:
    def act() -> None:
        wait_until(lambda: told("is ready") == 1)
        (memory / "events").write_text("under_oom 0\noom_kill 2\n")
        os.kill(min(children()), signal.SIGKILL)
        wait_until(lambda: told("is ready") == 2)
        os.kill(min(children()), signal.SIGKILL)
        wait_until(lambda: told("a worker ended by SIGKILL") == 2)

    assert supervise(Supervisor(workers.report, 1, SECONDS), act) == 0
    assert told("memory ran out and a process was killed: the limit is 300 MiB") == 1


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of one model, so that every process logs once that it has loaded one."""
    store = Store(tmp_path / "models")
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment")
    return store


def ask_until_two_listen(service: Service, loaded: int) -> set[int]:
    """Ask until so many processes have loaded their models and two listen; return the statuses, 0 for no answer."""
    statuses: set[int] = set()

    def ask() -> None:
        response = service.ask("POST", "/sentiment", {"text": "good"})
        statuses.add(response.status_code if response is not None else 0)

    def are_listening() -> bool:
        ask()
        return service.count("loaded") >= loaded and service.count_listeners() == 2

    service.wait_until(are_listening)
    for _ in range(200):
        ask()
    return statuses


def test_two_processes_answer_on_one_port_and_never_before_they_are_ready(store: Store, tmp_path: Path) -> None:
    with run_service(store.root, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        assert service.count("loaded") >= 1
        assert ask_until_two_listen(service, loaded=2) == {200}
        os.kill(service.workers()[0], signal.SIGKILL)
        assert ask_until_two_listen(service, loaded=3) <= {200, 0}  # none only of who was killed
        assert ask_until_two_listen(service, loaded=3) == {200}


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_two_processes_give_the_same_answers_to_the_byte_alone_and_in_any_batch(
    store: Store, tmp_path: Path, engine: str
) -> None:
    texts = [" ".join((GOOD + BAD)[number % 10 :][: number % 7]) + " film" * (number % 45) for number in range(40)]
    settings = {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_ENGINE": engine}
    with run_service(store.root, tmp_path / "log", **settings) as service:
        service.wait_until(lambda: service.count_listeners() == 2)

        def ask(text: str) -> bytes:
            response = service.ask("POST", "/sentiment", {"text": text})
            assert response is not None
            return response.content

        with ThreadPoolExecutor(16) as threads:  # so that requests meet in batches
            answers = list(threads.map(ask, texts * 4))
        batch = service.ask("POST", "/sentiment/batch", {"texts": texts})
    assert answers == answers[:40] * 4
    assert batch is not None
    assert batch.content == b'{"answers":[' + b",".join(answers[:40]) + b"]}"


@pytest.mark.parametrize("message", ["starting", "loaded"])
def test_a_service_that_is_told_to_end_before_it_is_ready_ends(
    small_store: Store, tmp_path: Path, message: str
) -> None:
    with run_service(small_store.root, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_for(message)
    assert service.ask("GET", "/livez") is None
