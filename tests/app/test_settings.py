import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from app import container
from app.errors import SettingsError
from app.settings import MEMORY_OF_A_PROCESS, Settings, read_settings

CORES = len(os.sched_getaffinity(0))

# Kubernetes sets these for the Services lstm-serve and lstm-serve-canary.
KUBERNETES = {
    "LSTM_SERVE_PORT": "tcp://10.0.0.1:9000",
    "LSTM_SERVE_SERVICE_HOST": "10.0.0.1",
    "LSTM_SERVE_SERVICE_PORT": "9000",
    "LSTM_SERVE_SERVICE_PORT_HTTP": "9000",
    "LSTM_SERVE_PORT_9000_TCP": "tcp://10.0.0.1:9000",
    "LSTM_SERVE_PORT_9000_TCP_PROTO": "tcp",
    "LSTM_SERVE_PORT_9000_TCP_PORT": "9000",
    "LSTM_SERVE_PORT_9000_TCP_ADDR": "10.0.0.1",
    "LSTM_SERVE_CANARY_PORT": "udp://10.0.0.2:9001",
    "LSTM_SERVE_CANARY_SERVICE_HOST": "10.0.0.2",
    "LSTM_SERVE_CANARY_PORT_9001_UDP": "udp://10.0.0.2:9001",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the environment."""
    for name in [name for name in os.environ if name.upper().startswith("LSTM_SERVE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """A function that sets the limit of memory of this container, which has all processor cores."""
    file = tmp_path / "memory.max"
    monkeypatch.setattr(container, "MEMORY_FILES", ((file, tmp_path / "none"),))
    monkeypatch.setattr(container, "PROCESSOR_FILES", ())
    return file.write_text


def test_the_defaults_need_no_environment() -> None:
    settings = read_settings()
    assert settings.models == Path("models")
    assert settings.max_batch == 128
    assert (settings.socket, settings.root_path, settings.ready_models, settings.keep_alive_s) == (None, "", (), 75)


def test_a_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_BATCH", "7")
    assert read_settings().max_batch == 7


def test_an_option_overrides_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_BATCH", "7")
    monkeypatch.setenv("lstm_serve_max_batch", "8")
    assert read_settings({"max_batch": "9"}).max_batch == 9


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"LSTM_SERVE_{name.upper()}", "")
    assert read_settings() == Settings()


def test_an_empty_option_means_the_default_whatever_the_variable_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_SOCKET", "/run/socket")
    monkeypatch.setenv("LSTM_SERVE_WORKERS", str(CORES + 1))
    assert read_settings({"socket": "", "workers": ""}) == read_settings({"socket": "", "workers": ""})
    assert read_settings({"socket": ""}).socket is None
    assert read_settings({"workers": ""}).workers <= CORES


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().trusted_proxies == ()
    monkeypatch.setenv("LSTM_SERVE_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,::1,unix")
    assert read_settings().trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1", "unix")


def test_names_of_models_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_READY_MODELS", "sentiment, next-letter,")
    assert read_settings().ready_models == ("sentiment", "next-letter")
    assert Settings(ready_models=("imdb-500",)).ready_models == ("imdb-500",)


def test_a_task_may_have_another_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().default_models == {}
    monkeypatch.setenv("LSTM_SERVE_DEFAULT_MODELS", "sentiment=my-reviews, next-letter = words,")
    assert read_settings().default_models == {"sentiment": "my-reviews", "next-letter": "words"}
    assert read_settings({"default_models": "sentiment=mine"}).default_models == {"sentiment": "mine"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("my-reviews", "Input should be TASK=MODEL, separated by commas, such as sentiment=my-reviews"),
        ("sentiment=", "Input should be TASK=MODEL"),
        ("sentiment=a=b", "Input should be TASK=MODEL"),
        ("sentimental=a", "tasks: next-letter, sentiment"),
        ("sentiment=a,sentiment=b", "Input should name one model for each task"),
    ],
)
def test_default_models_of_no_task_are_refused(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    monkeypatch.setenv("LSTM_SERVE_DEFAULT_MODELS", value)
    with pytest.raises(SettingsError, match=re.escape(message)):
        read_settings()


@pytest.mark.parametrize(
    ("memory", "processes"),
    [
        (MEMORY_OF_A_PROCESS // 2, 1),
        (MEMORY_OF_A_PROCESS, 1),
        (2 * MEMORY_OF_A_PROCESS - 1, 1),
        (2 * MEMORY_OF_A_PROCESS, min(2, CORES)),
        (CORES * MEMORY_OF_A_PROCESS, CORES),
        (1000 * CORES * MEMORY_OF_A_PROCESS, CORES),
    ],
)
def test_there_is_a_process_for_each_core_as_long_as_there_is_memory(
    limit: Callable[[str], int], memory: int, processes: int
) -> None:
    limit(str(memory))
    assert read_settings().workers == processes


def test_without_a_limit_the_memory_of_the_machine_counts(limit: Callable[[str], int]) -> None:
    limit("max")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert read_settings().workers == max(1, min(CORES, machine // MEMORY_OF_A_PROCESS))


def test_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == Settings()
    assert read_settings().port == 8000


@pytest.mark.parametrize("name", ["MAX_BACTH", "HTTP_PORT", "ENGINE_WORKERS", "PORT_8000_TCP", "SERVICE"])
def test_another_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"LSTM_SERVE_{name}", "7")
    with pytest.raises(SettingsError, match=f"LSTM_SERVE_{name} is not a setting; there are: .*LSTM_SERVE_MAX_BATCH"):
        read_settings()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_brackets(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("LSTM_SERVE_HOST", host)
    assert read_settings().host == "::1"


@pytest.mark.parametrize("level", ["WARNING", "warning", "Warning"])
def test_a_log_level_may_be_in_lower_case(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("LSTM_SERVE_LOG_LEVEL", level)
    assert read_settings().log_level == "WARNING"


@pytest.mark.parametrize("address", ["http://localhost:4318", "https://[::1]:4318/", "https://example.com/otlp"])
def test_a_collector_has_an_address_of_http(address: str) -> None:
    assert Settings(traces=address).traces == address


@pytest.mark.parametrize("path", ["/models", "/models/v1"])
def test_a_root_path_begins_with_a_slash(path: str) -> None:
    assert Settings(root_path=path).root_path == path


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_batch", "none", "valid integer"),
        ("workers", "0", "greater than or equal to 1"),
        ("port", "65536", "less than or equal to 65535"),
        ("engine", "pytorch", "'onnx' or 'tensorflow'"),
        ("precision", "int8", "'default' or 'float32'"),
        ("engine_threads", "0", "greater than or equal to 1"),
        ("trusted_proxies", "localhost", "addresses, networks such as 10.0.0.0/8, or unix"),
        ("trusted_proxies", "10.0.0.1/8", "addresses, networks such as 10.0.0.0/8, or unix"),
        ("log_level", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("root_path", "/models/", "begin with a slash and not end with one"),
        ("root_path", "/mod\u00e8les", "begin with a slash and not end with one"),
        ("root_path", "models", "begin with a slash and not end with one"),
        ("open_docs", "perhaps", "valid boolean"),
        ("traces", "localhost:4318", "the address of a collector such as http://localhost:4318"),
        ("traces", "http://localhost:4318/#a", "the address of a collector such as http://localhost:4318"),
        ("traces_share", "1.5", "less than or equal to 1"),
        ("cors_origins", "example.com", "origins in lower case such as https://example.com"),
        ("cors_origins", "https://example.com/", "origins in lower case such as https://example.com"),
        ("cors_origins", "https://a.com,https://B.com", "origins in lower case such as https://example.com"),
    ],
)
def test_an_invalid_value_is_refused_with_its_place_and_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    place = f"--{name.replace('_', '-')} {value.upper() if name == 'log_level' else value}"
    with pytest.raises(SettingsError, match=f"^{place}: Input should .*{expected}"):
        read_settings({name: value})
    monkeypatch.setenv(f"LSTM_SERVE_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"^LSTM_SERVE_{name.upper()}=.*: Input should .*{expected}"):
        read_settings()


def test_origins_are_separated_by_commas() -> None:
    origins = "https://example.com, http://localhost:3000,http://[::1]:3000"
    expected = ("https://example.com", "http://localhost:3000", "http://[::1]:3000")
    assert read_settings({"cors_origins": origins}).cors_origins == expected
    assert read_settings({"cors_origins": "*"}).cors_origins == ("*",)


def test_a_queue_without_place_for_a_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MAX_QUEUE", "127")
    with pytest.raises(SettingsError, match="^max_queue 127 has no place for a batch of max_batch 128$"):
        read_settings()


def test_all_problems_are_in_one_message() -> None:
    with pytest.raises(SettingsError, match="^--port x: Input .*; --workers y: Input"):
        read_settings({"port": "x", "workers": "y"})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().max_batch = 1  # type: ignore[misc]
