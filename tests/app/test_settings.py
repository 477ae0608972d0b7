from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import SettingsError
from app.settings import Settings, read_settings


def test_the_defaults_need_no_environment() -> None:
    settings = read_settings()
    assert settings.models == Path("models")
    assert settings.max_batch == 128


def test_a_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_BATCH", "7")
    assert read_settings().max_batch == 7


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_BACTH", "7")
    with pytest.raises(SettingsError, match="LSTM_SERVE_MAX_BACTH is no setting; there are: .*LSTM_SERVE_MAX_BATCH"):
        read_settings()


def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_BATCH", "none")
    with pytest.raises(SettingsError, match="LSTM_SERVE_MAX_BATCH=none"):
        read_settings()


@pytest.mark.parametrize(("name", "value"), [("ENGINE", "pytorch"), ("PRECISION", "int8"), ("ENGINE_THREADS", "0")])
def test_an_engine_that_there_is_not_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LSTM_SERVE_{name}", value)
    with pytest.raises(SettingsError, match=f"LSTM_SERVE_{name}={value}: Input should be"):
        read_settings()


def test_a_queue_without_place_for_a_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_QUEUE", "127")
    with pytest.raises(SettingsError, match="max_queue 127 has no place for a batch of max_batch 128"):
        read_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().max_batch = 1  # type: ignore[misc]
