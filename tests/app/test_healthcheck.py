from pathlib import Path

import httpx
import pytest

from app.healthcheck import main
from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.conftest import serve


def check(port: int, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return the status that the command ends with."""
    monkeypatch.setenv("LSTM_SERVE_PORT", str(port))
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_service_that_is_ready_is_healthy(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.base_url.port
    assert check(client.base_url.port, monkeypatch) == 0
    assert capsys.readouterr().out == '{"status":"ready"}'


def test_a_service_that_is_not_ready_is_not_healthy_and_says_why(
    empty_models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(Settings(models=empty_models)) as client:
        assert client.base_url.port
        assert check(client.base_url.port, monkeypatch) == 1
    assert "there are no models" in capsys.readouterr().out


def test_no_service_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no answer: ConnectionRefusedError" in str(check(find_free_port(), monkeypatch))
