"""The text that Prometheus reads: of this process, and of the processes of a real service."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from app.runtime.changes import Changes
from app.settings import Settings
from app.telemetry.exposition import render
from app.telemetry.metrics import READY
from app.telemetry.sharing import VARIABLE
from bundle.store import Store
from tests.app.processes.commands import copy_model
from tests.app.service import Service, run_service
from tests.bundle.samples import publish_changed

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
ASKED = 40


def test_the_format_is_that_of_prometheus_unless_the_client_accepts_openmetrics() -> None:
    READY.write()
    text, media_type = render("text/plain")
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name for family in parse(text.decode())}
    assert {"lstm_serve_ready_processes", "lstm_serve_stability_index", "lstm_serve_steps"} <= families
    text, media_type = render("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert media_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert {family.name for family in parse_openmetrics(text.decode())} == families


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of two processes with one model that is ready and one that is refused."""
    models = copy_model(tmp_path / "models")
    (models / "refused" / "1").mkdir(parents=True)
    with run_service(models, tmp_path / "log", LSTM_SERVE_WORKERS="2", LSTM_SERVE_MAX_BATCH="4") as service:
        service.wait_for("the service is ready")
        yield service


def read(service: Service) -> dict[tuple[str, ...], float]:
    """Return the value of each sample, by its name and the values of its labels in the order of their names."""
    answer = httpx.get(f"{service.url}/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def ask_all(service: Service) -> None:
    """Send requests over connections of their own, which the processes share, until every process has had one."""
    for number in range(ASKED):
        answer = service.ask("POST", "/next-letter", {"sequence": "ABC" if number else "ABC1"})
        assert answer and answer.status_code == (200 if number else 422)


ANSWERED = ("lstm_serve_request_duration_seconds_count", "next-letter", "/next-letter", "200", "3")
INPUTS = ("lstm_serve_input_length_count", "next-letter", "3")
PROCESSES = ("lstm_serve_models", "next-letter", "ready", "3")


def test_the_counts_of_all_processes_are_added_whichever_answers(service: Service) -> None:
    ask_all(service)
    service.wait_until(lambda: read(service).get(ANSWERED) == ASKED - 1)
    for _ in range(20):
        found = read(service)
        assert found[ANSWERED] == found[INPUTS] == ASKED - 1
        assert found["lstm_serve_request_duration_seconds_count", "next-letter", "/next-letter", "422", "3"] == 1
        assert found["lstm_serve_problems_total", "invalid-input"] == 1
        assert found[PROCESSES] == found["lstm_serve_models", "refused", "refused", ""] == 2
        assert found["lstm_serve_ready_processes",] == found["lstm_serve_processes",] == 2
        assert found["lstm_serve_load_seconds_count", "refused", "refused"] >= 2  # a missing file is tried again
        assert found["lstm_serve_answer_probability_bucket", "0.5", "next-letter", "3"] == 0
        assert found["lstm_serve_queue_capacity_rows", "next-letter", "3"] == 1024


def test_versions_have_the_number_of_processes_that_have_them(service: Service, tmp_path: Path) -> None:
    def list_versions() -> list[tuple[int, int, int]]:
        listed = httpx.get(f"{service.url}/models/next-letter/versions").json()
        assert listed["processes"] == 2
        return [(one["version"], one["loaded_processes"], one["default_processes"]) for one in listed["versions"]]

    service.wait_until(lambda: list_versions() == [(3, 2, 2)])
    store = Store(tmp_path / "models")
    publish_changed(store, store.open("next-letter"))
    service.wait_until(lambda: list_versions() == [(4, 2, 2), (3, 0, 0)])
    Changes(store, Settings()).set_label("next-letter", "stable", 3)
    service.wait_until(lambda: list_versions() == [(4, 2, 0), (3, 2, 2)])


def test_paths_that_do_not_exist_are_one_route(service: Service) -> None:
    before = set(read(service))
    for number in range(10):
        service.ask("GET", f"/nothing/{number}")
        service.ask("POST", "/next-letter", {"sequence": "A", "model": f"unknown-{number}"})
        service.ask("HEAD", "/models/next-letter")
    none = ("lstm_serve_request_duration_seconds_count", "", "none", "404", "")
    service.wait_until(lambda: read(service).get(none) == 10)
    added = {sample for sample in set(read(service)) - before if sample[0].endswith("_count")}
    assert {sample[2] for sample in added} <= {"none", "/next-letter", "/models/{name}", "/metrics"}
    assert not re.search(r"unknown-\d", httpx.get(f"{service.url}/metrics").text)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_totals_stay_when_a_process_is_killed_or_replaced(service: Service, number: signal.Signals) -> None:
    ask_all(service)
    service.wait_until(lambda: read(service).get(ANSWERED) == ASKED - 1)
    before, ready = service.workers(), service.count("a worker is ready")
    # SIGHUP to the supervisor replaces all workers.
    os.kill(before[0] if number == signal.SIGKILL else service.process.pid, number)
    service.wait_until(lambda: service.count("a worker is ready") > ready and not set(before) <= {*service.workers()})
    service.wait_until(lambda: read(service).get(PROCESSES) == 2)
    assert read(service)[ANSWERED] == read(service)[INPUTS] == ASKED - 1


def test_every_sample_has_the_labels_of_the_page(service: Service) -> None:
    ask_all(service)
    service.wait_until(lambda: read(service).get(ANSWERED) == ASKED - 1)
    rows = re.findall(r"^\| `(lstm_serve_\w+?)(?:_total)?` \| \w+ \|([^|]*)\|", PAGE, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    seen = set()
    for family in parse(httpx.get(f"{service.url}/metrics").text):
        for sample in family.samples:
            labels = sample.labels.keys() - ({"le"} if family.type == "histogram" else set())
            assert labels == documented[family.name], sample
            seen.add(family.name)
    assert len(seen) > len(documented) / 2


def find_folder(service: Service) -> Path:
    """Return the folder in which the processes of a service share their metrics."""
    variables = Path(f"/proc/{service.workers()[0]}/environ").read_bytes().split(b"\0")
    (folder,) = (variable.partition(b"=")[2] for variable in variables if variable.startswith(f"{VARIABLE}=".encode()))
    return Path(folder.decode())


def test_the_service_answers_and_has_metrics_again_when_somebody_removes_their_folder(service: Service) -> None:
    folder, ready = find_folder(service), service.count("a worker is ready")
    shutil.rmtree(folder)
    for number in range(10):
        answer = service.ask("POST", f"/nothing-{number}", {})  # an answer with labels that no metric had
        assert answer and answer.status_code == 404
    service.wait_until(lambda: read(service).get(PROCESSES) == 2)
    shutil.rmtree(folder)
    os.kill(service.workers()[0], signal.SIGKILL)
    service.wait_until(lambda: service.count("a worker is ready") > ready)
    service.wait_until(lambda: read(service).get(PROCESSES) == 2)
    ask_all(service)
    service.wait_until(lambda: read(service).get(ANSWERED) == ASKED - 1)


def test_the_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with run_service(copy_model(tmp_path / "models"), tmp_path / "log") as service:
        service.wait_for("the service is ready")
        folder = find_folder(service)
        assert folder.exists()
    assert not folder.exists()
