import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app.processes.healthcheck import connect, main
from benchmarks.servers import find_free_port
from tests.app.processes.commands import copy_model, run_command

READY = '{"status":"ready"}'
Check = Callable[..., object]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Check:
    """A function that returns the exit status of the command, with some settings in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("LSTM_SERVE_")]:
        monkeypatch.delenv(name)

    def run(**settings: object) -> object:
        for name, value in settings.items():
            monkeypatch.setenv(f"LSTM_SERVE_{name.upper()}", str(value))
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    return run


@pytest.mark.parametrize(
    ("host", "checked"),
    [("127.0.0.1", ""), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("[::1]", "[::1]")],
)
def test_a_ready_service_is_healthy_on_its_host_and_port(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str, checked: str
) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    port = find_free_port()
    models = copy_model(tmp_path / "models")
    with run_command(tmp_path / "log", "--host", host, "--port", port, "--workers", 1, "--models", models) as service:
        service.wait_for("the service is ready")
        assert check(host=checked, port=port) == 0
    assert capsys.readouterr().out == READY


def test_the_check_follows_the_unix_socket(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "socket"
    models = copy_model(tmp_path / "models")
    with run_command(tmp_path / "log", "--socket", path, "--workers", 1, "--models", models) as service:
        service.wait_for("the service is ready")
        assert check(socket=path, port=1) == 0
    assert capsys.readouterr().out == READY
    assert "no answer: FileNotFoundError" in str(check(socket=path))


def test_a_service_that_is_not_ready_is_not_healthy(
    check: Check, empty_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = find_free_port()
    with run_command(tmp_path / "log", "--port", port, "--workers", 1, "--models", empty_models) as service:
        service.wait_for("a worker answers, but it is not ready")
        assert check(port=port) == 1
    assert "there are no models" in capsys.readouterr().out


def test_no_service_is_not_healthy(check: Check) -> None:
    assert "no answer: ConnectionRefusedError" in str(check(port=find_free_port()))


def test_an_address_of_kubernetes_means_the_default_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_PORT", "tcp://10.0.0.1:80")
    assert connect().port == 8000
