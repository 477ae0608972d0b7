"""The command, in this process and as one of its own."""

import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.__main__ import main
from app.access.keys import add_client
from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.app.processes.commands import ENVIRONMENT, copy_model, fail_command, make_command, run_command
from tests.app.service import ROOT, Service
from tests.conftest import SECONDS
from tests.reliability.clients import Connection, make_request


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what the command changes in its process, which has no settings in its environment."""
    for name in [name for name in os.environ if name.upper().startswith("LSTM_SERVE_")]:
        monkeypatch.delenv(name)
    handlers = {number: signal.getsignal(number) for number in signal.Signals}
    loggers = [logging.getLogger(name) for name in ("app", "uvicorn", "uvicorn.access")]
    states = [(log.handlers, log.propagate, log.level) for log in loggers]
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    for number, handler in handlers.items():
        if handler != signal.getsignal(number):
            signal.signal(number, handler)
    for log, state in zip(loggers, states, strict=True):
        log.handlers, log.propagate, log.level = state


def end_when_alive(port: int, statuses: list[int]) -> None:
    """Send SIGHUP and then SIGTERM to this process once the service below it answers."""
    end = time.monotonic() + SECONDS
    while not statuses and time.monotonic() < end:
        try:
            statuses.append(httpx.get(f"http://127.0.0.1:{port}/livez").status_code)
        except httpx.TransportError:
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)


def run_main(monkeypatch: pytest.MonkeyPatch, *options: object) -> object:
    """Run the command in this process with options; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["app", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_until_sigterm(workers: int, empty_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = find_free_port()
    statuses: list[int] = []
    ending = threading.Thread(target=end_when_alive, args=[port, statuses])
    ending.start()
    assert not run_main(monkeypatch, "--port", port, "--models", empty_models, "--workers", workers)
    ending.join(SECONDS)
    assert statuses == [200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/livez")


def test_help_has_every_setting_with_its_description_and_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert f" --{name.replace('_', '-')} " in text
        assert field.description and field.description in text
    assert "--max-queue NUMBER Texts that may wait for one model in a process. [default: 512]" in text
    assert "--engine onnx|tensorflow " in text
    documented = "Whether the page at /, /docs and /openapi.json need no key if there are keys."
    assert f"--open-docs true|false {documented} [default: false]" in text
    assert "keys Make and remove API keys" in text
    assert "--log-level is LSTM_SERVE_LOG_LEVEL" in text


def test_it_has_a_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"lstm-serve, version {__version__}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prot", "1"], "No such option '--prot'"),
        (["--port"], "Option '--port' requires an argument"),
        (["key"], "No such command 'key'"),
    ],
)
def test_an_unknown_option_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run_main(monkeypatch, *options) == 2
    assert message in capsys.readouterr().err


def test_an_invalid_setting_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "Input should be a valid integer, unable to parse string as an integer"
    assert run_main(monkeypatch, "--workers", "many") == f"error: --workers many: {expected}"
    monkeypatch.setenv("LSTM_SERVE_WORKERS", "none")
    assert run_main(monkeypatch) == f"error: LSTM_SERVE_WORKERS=none: {expected}"
    assert fail_command(LSTM_SERVE_WORKERS="none") == f"error: LSTM_SERVE_WORKERS=none: {expected}\n"


def test_a_port_in_use_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run_main(monkeypatch, "--port", port) == (
            f"error: cannot listen on 127.0.0.1 port {port}: Address already in use; choose a free address with --host "
            "and --port (LSTM_SERVE_HOST, LSTM_SERVE_PORT)"
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_its_workers_have_the_options_and_it_logs_that_it_is_ready(tmp_path: Path, workers: int) -> None:
    models = copy_model(tmp_path / "models")
    port = find_free_port()
    options = ["--port", port, "--models", models, "--workers", workers, "--max-text-characters", 5]
    variables = {"LSTM_SERVE_PORT": "1", "LSTM_SERVE_MAX_TEXT_CHARACTERS": "9", "LSTM_SERVE_MAX_BATCH": "2"}
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}", **variables) as service:
        service.wait_for("the service is ready")
        long = service.ask("POST", "/next-letter", {"sequence": "ABCDEF"})
        short = service.ask("POST", "/next-letter", {"sequence": "ABCDE"})
        batch = service.ask("POST", "/next-letter/batch", {"sequences": ["A", "B", "C"]})
    assert long and long.status_code == 422
    assert short and short.status_code == 200
    assert batch and batch.status_code == 422
    starting, *_ = service.lines()
    assert starting["message"] == "starting"
    assert (starting["address"], starting["workers"]) == (f"http://127.0.0.1:{port}", workers)
    (ready,) = (line for line in service.lines() if line["message"] == "the service is ready")
    assert ready["workers"] == workers and ready["seconds"] > 0


def test_its_log_level_is_an_option(tmp_path: Path, empty_models: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--models", empty_models, "--workers", 1, "--log-level", "error"]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
    assert {line["level"] for line in service.lines()} == {"ERROR"}


@pytest.mark.parametrize("contents", [None, "{"])
def test_an_invalid_key_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: str | None
) -> None:
    path = tmp_path / "keys.json"
    if contents:
        path.write_text(contents)
    message = run_main(monkeypatch, "--keys", path)
    assert isinstance(message, str) and message.startswith(f"error: the key file {path} ")


def test_traces_with_the_exporter_go_on_to_the_next_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    message = run_main(monkeypatch, "--traces", "http://localhost:4318", "--host", "203.0.113.1")  # RFC 5737: nobody's
    assert isinstance(message, str) and "203.0.113.1" in message


def test_traces_without_the_exporter_are_refused_in_one_line(tmp_path: Path) -> None:
    hidden = tmp_path / "opentelemetry" / "exporter"  # as if no exporter were installed
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    message = fail_command("--traces", "http://localhost:4318", PYTHONPATH=str(tmp_path))
    assert message.startswith("error: traces need OpenTelemetry's exporter, which is not installed; install it with ")
    assert len(message.splitlines()) == 1


def test_no_answer_names_the_server_and_no_browser_guesses_a_type(tmp_path: Path, empty_models: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--models", empty_models, "--workers", 1]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        with Connection(port) as connection:
            answers = [
                connection.ask(make_request(method, path))
                for method, path in (("GET", "/livez"), ("GET", "/docs"), ("OPTIONS", "/models"), ("POST", "/nothing"))
            ]
            answers.append(connection.ask(b"no HTTP\r\n\r\n"))
    assert [answer.status for answer in answers] == [200, 200, 204, 404, 400]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_the_limits_of_a_client_hold_for_all_processes_together(tmp_path: Path) -> None:
    port = find_free_port()
    keys = tmp_path / "keys.json"
    rate = add_client(keys, "rate", ["predict"], requests_per_second=0.001, burst=7)
    day = add_client(keys, "day", ["predict"], texts_per_day=7)
    options = ["--port", port, "--models", copy_model(tmp_path / "models"), "--workers", 2, "--keys", keys]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_for("the service is ready")

        def ask(key: str) -> int:
            body = {"sequence": "ABC"}  # each over a connection of its own: the processes share them
            return httpx.post(f"{service.url}/next-letter", json=body, headers={"x-api-key": key}).status_code

        statuses = {key: [ask(key) for _ in range(40)] for key in (rate, day)}
        service.process.send_signal(signal.SIGHUP)  # new processes continue to count
        service.wait_until(lambda: service.count("a worker is ready") >= 4)
        again = [ask(rate), ask(day)]
    for answered in statuses.values():
        assert answered == [200] * 7 + [429] * 33
    assert again == [429, 429]


def ask_with(service: Service, key: str) -> httpx.Response:
    """Return the answer to a client, over a connection of its own."""
    return httpx.post(f"{service.url}/next-letter", json={"sequence": "ABC"}, headers={"x-api-key": key})


def kill_workers(service: Service, number: int) -> None:
    """Kill some of the workers, and wait until others are ready."""
    ready = service.count("a worker is ready") + number
    for pid in service.workers()[:number]:
        os.kill(pid, signal.SIGKILL)
    service.wait_until(lambda: service.count("a worker is ready") >= ready)


def test_the_limits_of_a_client_hold_when_somebody_removes_the_files_of_the_counts(tmp_path: Path) -> None:
    port = find_free_port()
    keys, temporary = tmp_path / "keys.json", tmp_path / "tmp"
    temporary.mkdir()
    key = add_client(keys, "web", ["predict"], requests_per_second=0.001, burst=20)
    options = ["--port", port, "--models", copy_model(tmp_path / "models"), "--workers", 2, "--keys", keys]
    url = f"http://127.0.0.1:{port}"
    with run_command(tmp_path / "log", *options, url=url, TMPDIR=str(temporary)) as service:
        service.wait_for("the service is ready")
        statuses = [ask_with(service, key).status_code for _ in range(10)]
        (folder,) = temporary.glob("lstm-serve-*")
        shutil.rmtree(folder)
        kill_workers(service, 1)
        statuses += [ask_with(service, key).status_code for _ in range(30)]
        assert (folder / "web").exists()
    assert statuses[:20] == [200] * 20 and statuses[-1] == 429
    assert not list(temporary.iterdir())
    assert not [line for line in service.lines() if "traceback" in line]


def test_workers_that_start_while_the_key_file_is_invalid_have_the_last_valid_keys(tmp_path: Path) -> None:
    port = find_free_port()
    keys = tmp_path / "keys.json"
    first = add_client(keys, "first", ["predict"])
    options = ["--port", port, "--models", copy_model(tmp_path / "models"), "--workers", 2, "--keys", keys]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_for("the service is ready")
        second = add_client(keys, "second", ["predict"])  # which the first processes did not have when they started
        service.wait_for("the keys are read again")
        keys.write_text("{")
        service.wait_until(lambda: any(line["message"].startswith("the old keys stay") for line in service.lines()))
        kill_workers(service, 2)
        assert [ask_with(service, key).status_code for key in (first, second, "wrong")] == [200, 200, 401]
    assert {line["message"] for line in service.lines() if line["level"] == "ERROR"} == {
        "a worker ended by SIGKILL",
        f"the old keys stay valid: the key file {keys} is invalid: it is not JSON at line 1, column 1; correct it",
    }


def test_behind_a_proxy_its_page_has_the_root_path(tmp_path: Path, empty_models: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--models", empty_models, "--workers", 1, "--root-path", "/v1"]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_until(lambda: service.count_listeners() > 0)
        page = service.ask("GET", "/docs")
        document = service.ask("GET", "/openapi.json")
    assert page and "/v1/openapi.json" in page.text
    assert document and document.json()["servers"] == [{"url": "/v1"}]


def test_sighup_replaces_the_worker_of_a_service_that_has_only_one(tmp_path: Path, empty_models: Path) -> None:
    port = find_free_port()
    options = ["--port", port, "--models", empty_models, "--workers", 1]
    with run_command(tmp_path / "log", *options, url=f"http://127.0.0.1:{port}") as service:
        service.wait_for("a worker answers, but it is not ready")
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        service.wait_until(lambda: len(service.workers()) == 1 and service.workers() != before)
        response = service.ask("GET", "/livez")
    assert response and response.status_code == 200


def wait_until_it_handles_signals(pid: int) -> None:
    """Wait until a process handles SIGTERM, which it does before its imports."""
    end = time.monotonic() + SECONDS
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1:
        assert time.monotonic() < end
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_imports_ends_it_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with run_command(tmp_path / "log", "--port", find_free_port()) as service:
        wait_until_it_handles_signals(service.process.pid)
        service.process.send_signal(signal.SIGHUP)
        os.killpg(service.process.pid, number)
        assert service.process.wait(SECONDS) == 0
    assert service.log.read_text() == ""


def test_the_supervisor_imports_neither_fastapi_nor_what_runs_networks() -> None:
    command = [sys.executable, "-X", "importtime", *make_command("--keys", "missing")[1:]]
    ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS)
    assert ended.stderr.splitlines()[-1].startswith("error: the key file missing ")
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert {"uvicorn", "app.processes.supervisor"} <= imported
    assert not imported & {"fastapi", "starlette", "numpy", "onnxruntime", "tensorflow"}
