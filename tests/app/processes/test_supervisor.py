"""The supervisor: in this process with workers of the tests, and as a real service."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from app.processes import supervisor
from app.processes.sockets import hold
from app.processes.supervisor import SHORTEST_PAUSE_SECONDS, SILENT_SECONDS, Supervisor, Target, Worker
from app.processes.worker import run
from app.settings import Settings
from benchmarks.servers import find_free_port, find_workers
from tests.app.processes import workers
from tests.app.processes.commands import copy_model, run_command
from tests.app.service import ROOT, Service, run_service
from tests.conftest import BAD, GOOD, SECONDS

pytestmark = pytest.mark.usefixtures("handlers")

FAILED = f"a worker ended with status {workers.STATUS}"
Count = Callable[[str], int]


def supervise(
    target: Target,
    number: int,
    act: Callable[[], object],
    grace_seconds: float = SECONDS,
    open_listener: Callable[[], socket.socket] = socket.socket,
) -> int:
    """Run a supervisor in this process; act in a thread, and then send SIGTERM. Return its exit status."""
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
    status = Supervisor(target, open_listener, number, grace_seconds).run()
    acting.join(SECONDS)
    if errors:
        raise errors[0]
    return status


def wait_until(is_done: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not is_done():
        assert time.monotonic() < end
        time.sleep(0.01)


def children() -> set[int]:
    """Return the numbers of this process's workers."""
    return set(find_workers(os.getpid()))


# ---- Start, end and failures


def test_it_looks_again_and_again(handlers: None, count: Count) -> None:  # noqa: ARG001
    looks = []

    def look() -> None:
        looks.append(time.monotonic())
        if len(looks) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    assert Supervisor(workers.report, socket.socket, 1, SECONDS, look).run() == 0
    assert len(looks) >= 5


def test_it_ends_if_no_worker_can_start(count: Count) -> None:
    assert Supervisor(workers.fail, socket.socket, 2, SECONDS).run() == 1
    assert count(FAILED)
    assert count("no worker can start") == 1


def test_a_worker_that_ends_without_an_error_before_any_has_answered_is_replaced(count: Count, tmp_path: Path) -> None:
    target = partial(workers.end_once, tmp_path / "ended")
    assert supervise(target, 1, lambda: wait_until(lambda: count("the service is ready"))) == 0
    assert count("a worker ended with status 0") == 1


def test_it_logs_once_when_all_workers_are_ready(count: Count) -> None:
    def act() -> None:
        wait_until(lambda: count("the service is ready"))
        assert count("a worker is ready") == 2

    assert supervise(workers.report, 2, act) == 0
    assert count("received SIGTERM: shutting down") == 1
    assert count("the service is ready") == 1
    assert not children()


def test_it_logs_when_all_workers_are_ready_again(count: Count) -> None:
    def act() -> None:
        wait_until(lambda: count("the service is ready") == 1)
        os.kill(min(children()), signal.SIGKILL)
        wait_until(lambda: count("the service is ready") == 2)

    assert supervise(workers.report, 2, act) == 0
    assert count("a worker ended by SIGKILL") == 1


def test_a_worker_may_answer_and_not_be_ready(count: Count) -> None:
    answering = "a worker answers, but it is not ready"
    assert supervise(workers.report_unready, 2, lambda: wait_until(lambda: count(answering) == 2)) == 0
    assert not count("the service is ready")


def test_a_signal_without_a_name_is_logged_by_its_number(count: Count) -> None:
    def act() -> None:
        wait_until(lambda: count("is ready"))
        os.kill(min(children()), signal.SIGRTMIN + 1)
        wait_until(lambda: count(f"a worker ended by signal {signal.SIGRTMIN + 1}"))

    assert supervise(workers.report, 1, act) == 0


def test_a_worker_that_ends_again_and_again_is_replaced_after_longer_and_longer_pauses(count: Count) -> None:
    started = time.monotonic()
    assert supervise(workers.fail_when_ready, 1, lambda: wait_until(lambda: count(FAILED) == 4)) == 0
    assert time.monotonic() - started > SHORTEST_PAUSE_SECONDS * (1 + 2)  # the first one is replaced at once


def test_pauses_are_short_again_when_a_worker_has_been_ready_for_long(
    count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_SECONDS", 0)
    assert supervise(workers.fail_when_ready, 1, lambda: wait_until(lambda: count(FAILED) == 3)) == 0


def test_it_tries_again_when_the_machine_cannot_start_a_process(count: Count) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def act() -> None:
        wait_until(lambda: count("the service is ready"))
        before = children()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(lambda: count("a worker cannot be started: [Errno 24] Too many open files") > 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_until(lambda: len(children()) == 1 and not children() & before)

    assert supervise(workers.report, 1, act) == 0


# ---- Workers that hang


def test_a_worker_that_does_not_end_is_killed(count: Count) -> None:
    def act() -> None:
        wait_until(lambda: count("is ready"))
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: count("received SIGINT: shutting down"))  # and SIGTERM follows

    assert supervise(workers.refuse_to_end, 1, act, grace_seconds=0.3) == 0
    assert count("a worker is killed: it has not ended within 0.3 s") == 1
    assert not children()


def test_a_worker_is_killed_once_even_if_it_does_not_end_at_once(count: Count) -> None:
    with socket.socket() as listener:
        worker = Worker(workers.refuse_to_end, listener)
    worker.kill("one reason")
    worker.kill("another reason")
    wait_until(lambda: worker.status == -signal.SIGKILL)
    worker.close()
    assert count("a worker is killed: one reason") == count("a worker is killed") == 1


def test_a_silent_worker_is_killed_and_replaced(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.5)
    killed = "a worker is killed: it has not reported for 0.5 s"
    assert supervise(workers.fall_silent, 1, lambda: wait_until(lambda: count(killed) == 2)) == 0
    assert count("a worker ended by SIGKILL") >= 1


def test_a_worker_that_waits_for_a_processor_is_not_killed(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 1)
    core = max(os.sched_getaffinity(0))
    waits = "a worker waits for a processor, so its reports are late"

    def act() -> None:
        wait_until(lambda: count(waits))
        time.sleep(2)

    with ExitStack() as running:
        for _ in range(4):
            busy = running.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            running.callback(busy.kill)
            os.sched_setaffinity(busy.pid, {core})
        assert supervise(partial(workers.starve, core), 1, act) == 0
    assert not count("a worker is killed")
    assert count(waits) == 1


def test_silent_workers_are_killed_one_after_the_other_so_that_one_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.5)
    caplog.set_level("INFO", "app")

    def list_events() -> list[str]:
        return [
            message[:16] for message in caplog.messages if message.startswith(("a worker is kil", "a worker is rea"))
        ]

    killed = "a worker is kill"
    assert supervise(workers.fall_silent, 2, lambda: wait_until(lambda: list_events().count(killed) == 3)) == 0
    events = list_events()
    assert all(pair != (killed, killed) for pair in pairwise(events)), events


def test_a_worker_that_does_not_answer_in_time_is_killed(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_SECONDS", 1)
    killed = "a worker is killed: it did not answer within 1 s"
    assert supervise(workers.report_starting, 1, lambda: wait_until(lambda: count(killed))) == 0


def test_workers_are_not_killed_for_a_pause_of_the_whole_machine(count: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 0.5)
    is_over = threading.Event()

    def pause(*_: object) -> None:
        """Stop the worker and, as handlers run in the main thread, the supervisor."""
        (worker,) = children()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(1)
        os.kill(worker, signal.SIGCONT)
        is_over.set()

    def act() -> None:
        wait_until(lambda: count("is ready"))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert is_over.wait(SECONDS)
        time.sleep(0.5)  # in which it would be killed

    handler = signal.signal(signal.SIGUSR1, pause)
    assert supervise(workers.report, 1, act) == 0
    signal.signal(signal.SIGUSR1, handler)
    assert not count("killed")


# ---- SIGHUP


def test_sighup_replaces_the_workers_one_by_one(count: Count, caplog: pytest.LogCaptureFixture) -> None:
    most_starting = 0

    def find_ready() -> set[int]:
        return {vars(record)["pid"] for record in caplog.records if record.getMessage() == "a worker is ready"}

    def act() -> None:
        nonlocal most_starting
        wait_until(lambda: count("a worker is ready") == 2)
        before = children()
        os.kill(os.getpid(), signal.SIGHUP)

        def are_replaced() -> bool:
            nonlocal most_starting
            now = children()
            most_starting = max(most_starting, len(now - find_ready()))
            return len(now) == 2 and not now & before

        wait_until(are_replaced)

    assert supervise(workers.report, 2, act) == 0
    assert most_starting == 1
    assert count("the service is ready") == 1  # two were ready all the time
    assert count("received SIGHUP: replacing the workers") == 1


def test_many_sighups_start_no_more_workers_than_one(count: Count) -> None:
    def act() -> None:
        wait_until(lambda: count("a worker is ready") == 2)
        before = children()
        most = 0

        def has_come(times: int) -> bool:
            return count("received SIGHUP") == times

        for number in range(1, 6):
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(partial(has_come, number))
            most = max(most, len(children()))
        wait_until(lambda: len(children()) == 2 and not children() & before)
        assert most <= 4  # one that has ended may not be gone yet

    assert supervise(workers.report, 2, act) == 0


def test_workers_stay_if_their_successors_cannot_start(count: Count, tmp_path: Path) -> None:
    def act() -> None:
        wait_until(lambda: count("a worker is ready") == 2)
        before = children()
        (tmp_path / "broken").touch()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: count("the new worker ended before it answered, so the old workers stay"))
        time.sleep(0.3)
        assert children() == before

    assert supervise(partial(workers.fail_if, tmp_path / "broken"), 2, act) == 0
    assert count("so the old workers stay") == 1


def test_the_replacement_goes_on_if_an_old_worker_ends_meanwhile(count: Count, tmp_path: Path) -> None:
    path = tmp_path / "answers"

    def act() -> None:
        wait_until(lambda: count("a worker is ready") == 2)
        before = children()
        path.unlink()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: len(children()) == 3)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: count("a worker ended by SIGKILL"))
        path.touch()
        wait_until(lambda: len(children()) == 2 and not children() & before)

    path.touch()
    assert supervise(partial(workers.report_when, path), 2, act) == 0
    assert not count("so the old workers stay")


def test_ready_workers_stay_if_their_successor_is_not_ready(count: Count, tmp_path: Path) -> None:
    def act() -> None:
        wait_until(lambda: count("a worker is ready") == 2)
        before = children()
        (tmp_path / "broken").touch()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: count("the new worker is not ready, so the old workers stay"))
        wait_until(lambda: children() == before)
        time.sleep(0.3)
        assert children() == before
        (tmp_path / "broken").unlink()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: len(children()) == 2 and not children() & before)

    assert supervise(partial(workers.report_unready_if, tmp_path / "broken"), 2, act) == 0
    assert count("the new worker is not ready") == 1


def test_workers_that_are_not_ready_are_replaced_by_others(count: Count, tmp_path: Path) -> None:
    def act() -> None:
        wait_until(lambda: count("a worker answers, but it is not ready") == 2)
        (tmp_path / "broken").unlink()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: count("the service is ready"))

    (tmp_path / "broken").touch()
    assert supervise(partial(workers.report_unready_if, tmp_path / "broken"), 2, act) == 0


# ---- Memory


@pytest.mark.parametrize(("limit", "described"), [("314572800\n", "300 MiB"), ("max\n", "that of the machine")])
def test_it_logs_once_that_memory_ran_out(count: Count, memory: Path, limit: str, described: str) -> None:
    (memory / "limit").write_text(limit)

    def act() -> None:
        wait_until(lambda: count("a worker is ready") == 1)
        (memory / "events").write_text("under_oom 0\noom_kill 2\n")
        os.kill(min(children()), signal.SIGKILL)
        wait_until(lambda: count("a worker is ready") == 2)
        os.kill(min(children()), signal.SIGKILL)
        wait_until(lambda: count("a worker ended by SIGKILL") == 2)

    assert supervise(workers.report, 1, act) == 0
    assert count(f"memory ran out and a process was killed: the limit is {described}; allow more") == 1


# ---- Real workers


def supervise_app(act: Callable[[str], object]) -> None:
    """Supervise one worker that serves the app of these tests, and act with its URL."""
    with hold(Settings(port=find_free_port())) as address:
        target = partial(run, workers.make_config(), SECONDS)
        assert supervise(target, 1, lambda: act(str(address)), open_listener=address.open) == 0


def test_a_worker_whose_event_loop_hangs_is_replaced_and_one_that_computes_for_seconds_is_not(count: Count) -> None:
    def act(url: str) -> None:
        wait_until(lambda: count("the service is ready"))
        assert httpx.get(f"{url}/block", params={"seconds": 3}, timeout=SECONDS).status_code == 200
        assert not count("a worker is killed")
        started = time.monotonic()
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/block", params={"seconds": SECONDS}, timeout=SECONDS)
        assert time.monotonic() - started > SILENT_SECONDS - 1
        wait_until(lambda: count("the service is ready") == 2)
        assert httpx.get(f"{url}/wait", params={"seconds": 0}, timeout=SECONDS).status_code == 200

    supervise_app(act)
    assert count(f"a worker is killed: it has not reported for {SILENT_SECONDS} s") == 1


def test_a_worker_that_ends_may_answer_for_longer_than_one_may_be_silent(
    count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS", 2)  # while the event loop ends, it does not tick
    statuses: list[int] = []

    def act(url: str) -> None:
        def ask() -> None:
            statuses.append(httpx.get(f"{url}/wait", params={"seconds": 4}, timeout=SECONDS).status_code)

        wait_until(lambda: count("the service is ready"))
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)  # until the worker has the request
        os.kill(os.getpid(), signal.SIGTERM)
        asking.join(SECONDS)

    supervise_app(act)
    assert statuses == [200]
    assert not count("a worker is killed")


# ---- A real service


def ask_until_two_listen(service: Service, loaded: int) -> set[int]:
    """Ask until this many processes have loaded their model and two listen; return the statuses, 0 for no answer."""
    statuses: set[int] = set()

    def ask() -> None:
        response = service.ask("POST", "/next-letter", {"sequence": "ABC"})
        statuses.add(response.status_code if response is not None else 0)

    def are_listening() -> bool:
        ask()
        return service.count("loaded") >= loaded and service.count_listeners() == 2

    service.wait_until(are_listening)
    for _ in range(200):
        ask()
    return statuses


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of one model, so that each process logs once that it has loaded one."""
    return copy_model(tmp_path / "models")


def test_two_processes_answer_on_one_port_and_never_before_they_are_ready(models: Path, tmp_path: Path) -> None:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        assert service.count("loaded") >= 1
        assert ask_until_two_listen(service, loaded=2) == {200}
        os.kill(service.workers()[0], signal.SIGKILL)
        assert ask_until_two_listen(service, loaded=3) <= {200, 0}  # none only from the killed process
        assert ask_until_two_listen(service, loaded=3) == {200}


@pytest.mark.parametrize("engine", ["onnx", "tensorflow"])
def test_two_processes_give_the_same_answers_to_the_byte_alone_and_in_any_batch(tmp_path: Path, engine: str) -> None:
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "sentiment", models / "sentiment")
    texts = [" ".join((GOOD + BAD)[number % 10 :][: number % 7]) + " film" * (number % 45) for number in range(40)]
    settings = {"LSTM_SERVE_WORKERS": "2", "LSTM_SERVE_ENGINE": engine}
    with run_service(models, tmp_path / "log", **settings) as service:
        service.wait_for("the service is ready")

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


def test_a_worker_that_gets_sigterm_while_it_loads_is_replaced(models: Path, tmp_path: Path) -> None:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="1") as service:
        service.wait_for("Waiting for application startup.")
        (worker,) = service.workers()
        os.kill(worker, signal.SIGTERM)
        service.wait_for("the service is ready")
        assert worker not in service.workers()


@pytest.mark.parametrize("message", ["starting", "loaded"])
def test_a_service_ends_if_sigterm_comes_before_it_is_ready(models: Path, tmp_path: Path, message: str) -> None:
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="2") as service:
        service.wait_for(message)
    assert service.ask("GET", "/livez") is None


def test_sighup_with_a_broken_store_keeps_the_ready_workers(models: Path, tmp_path: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--workers", 2, "--models", models]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_for("the service is ready")
        before = service.workers()
        for manifest in models.rglob("manifest.json"):
            manifest.write_text("{")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("the new worker is not ready, so the old workers stay; the lines above have the reason")
        service.wait_until(lambda: service.workers() == before)
        response = service.ask("POST", "/next-letter", {"sequence": "ABC"})
        assert response is not None and response.status_code == 200


def test_sighup_to_all_processes_replaces_the_workers_one_by_one(models: Path, tmp_path: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--workers", 2, "--models", models]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_for("the service is ready")
        before = set(service.workers())
        os.killpg(service.process.pid, signal.SIGHUP)
        service.wait_until(lambda: len(service.workers()) == 2 and not before & set(service.workers()))
    assert not service.count("a worker ended by SIGHUP")
    assert service.count("the service is ready") == 1  # two were ready all the time


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.6])
def test_ctrl_c_during_the_imports_prints_no_traceback(models: Path, tmp_path: Path, seconds: float) -> None:
    with run_command(tmp_path / "log", "--port", find_free_port(), "--workers", 2, "--models", models) as service:
        service.wait_for("starting")
        time.sleep(seconds)  # the workers import for this long
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.process.wait(SECONDS) == 0
    assert [line["level"] for line in service.lines() if line["level"] not in ("INFO", "WARNING")] == []
    assert service.count("received SIGINT: shutting down") == 1
