"""How contenders are started and asked."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import contenders, environments
from benchmarks.contenders import DEFAULT, OURS, OURS_FLOAT32, RELEASE
from benchmarks.environments import PEERS, ROOT
from bundle.store import Store

BUNDLES = ("sentiment", "imdb-500")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Every environment that is asked for, with its lock; nothing is installed."""
    found: dict[str, Path] = {}

    def provide(name: str, lock: Path) -> Path:
        found[name] = lock
        return Path("/environments") / name / "bin" / "python"

    monkeypatch.setattr(environments, "provide", provide)
    return found


def test_every_peer_has_a_lock_and_a_server(installed: dict[str, Path], tmp_path: Path) -> None:
    known = contenders.find("sentiment", tmp_path)
    for contender in known.values():
        command = contender.command(1234)
        assert any("1234" in str(part) for part in command) or "BENCHMARK_PORT" in contender.environment(
            Store(ROOT / "models").open("sentiment"), 1234
        )
    peers = {path.parent.name for path in PEERS.glob("*/requirements.in")}
    assert installed.keys() == peers | {OURS, RELEASE}
    assert installed[RELEASE] == tmp_path / "requirements" / "serve.txt"
    assert installed[OURS] == ROOT / "requirements" / "serve.txt"
    for peer in peers:
        assert installed[peer] == PEERS / peer / "requirements.txt"
        assert installed[peer].exists()
        assert (PEERS / peer / "server.py").exists()
    assert known.keys() == peers | {OURS, OURS_FLOAT32, RELEASE}


def test_a_release_is_a_contender_only_where_there_is_one(tmp_path: Path) -> None:
    assert RELEASE not in contenders.find("sentiment")
    assert set(DEFAULT) <= contenders.find("sentiment", tmp_path).keys()


def test_a_release_runs_its_own_code_and_models(tmp_path: Path) -> None:
    bundle = Store(ROOT / "models").open("sentiment")
    release, ours = (contenders.find("sentiment", tmp_path)[name] for name in (RELEASE, OURS))
    assert release.command(1)[1:] == ours.command(1)[1:] == ["-m", "app"]
    variables = release.environment(bundle, 1234)
    assert variables["PYTHONPATH"] == str(tmp_path)
    assert variables["LSTM_SERVE_MODELS"] == str(tmp_path / "models")
    assert variables["LSTM_SERVE_PORT"] == "1234"
    assert ours.environment(bundle, 1234)["PYTHONPATH"] == str(ROOT)


def test_the_settings_of_who_measures_do_not_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_WORKERS", "7")
    bundle = Store(ROOT / "models").open("sentiment")
    known = contenders.find("sentiment")
    assert "LSTM_SERVE_WORKERS" not in known[OURS].environment(bundle, 1)
    assert "LSTM_SERVE_PRECISION" not in known[OURS].environment(bundle, 1)
    assert known[OURS_FLOAT32].environment(bundle, 1)["LSTM_SERVE_PRECISION"] == "float32"


@pytest.mark.parametrize("name", BUNDLES)
def test_every_contender_is_asked_in_json(name: str, tmp_path: Path) -> None:
    for contender in contenders.find(name, tmp_path).values():
        bodies = contender.write_bodies(tmp_path / "bodies", ["A film.", "Two\nlines."]).read_text()
        assert [json.loads(body) for body in bodies.splitlines()] == list(
            map(contender.ask, ["A film.", "Two\nlines."])
        )
        assert ("model" in contender.ask("")) == (contender.path == "/sentiment" and name != "sentiment")


def test_another_checkout_runs_in_the_environment_of_this_one(installed: dict[str, Path], tmp_path: Path) -> None:
    other = replace(contenders.find("sentiment")[OURS], root=tmp_path)
    other.command(1)
    assert installed == {OURS: ROOT / "requirements" / "serve.txt"}
