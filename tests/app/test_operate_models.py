import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.command import make_command
from bundle.store import Store
from tests.bundle.samples import LETTERS, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "models")
    for _ in range(2):
        publish(store, LETTERS)
    return store


def run(store: Store, *arguments: object) -> Result:
    return CliRunner().invoke(make_command(), ["--models", str(store.root), "models", *map(str, arguments)])


def change(store: Store, *arguments: object) -> Any:
    """Run a command that succeeds, and return the policy that it prints."""
    result = run(store, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_versions_are_pinned_labelled_and_released(store: Store) -> None:
    assert change(store, "pin", "letters", 1)["labels"] == {"stable": 1}
    assert change(store, "label", "letters", "candidate", 2)["labels"] == {"candidate": 2, "stable": 1}
    assert change(store, "unpin", "letters")["labels"] == {"candidate": 2}
    assert change(store, "unlabel", "letters", "candidate")["labels"] == {}


def test_the_share_of_shadow_requests_is_set(store: Store) -> None:
    assert change(store, "shadow", "letters", 0.1)["shadow_share"] == 0.1


def test_a_model_is_unloaded_and_loaded(store: Store) -> None:
    assert not change(store, "unload", "letters")["is_loaded"]
    assert change(store, "load", "letters")["is_loaded"]


def test_the_list_has_a_line_for_each_model(store: Store) -> None:
    publish(store, LETTERS.model_copy(update={"name": "other"}))
    run(store, "pin", "letters", 1)
    lines = [json.loads(line) for line in run(store, "list").stdout.splitlines()]
    assert lines == [
        {"name": "letters", "versions": [1, 2], "labels": {"stable": 1}, "shadow_share": 0, "is_loaded": True},
        {"name": "other", "versions": [1], "labels": {}, "shadow_share": 0, "is_loaded": True},
    ]


def test_the_folder_is_that_of_the_environment_by_default(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MODELS", str(store.root))
    assert "letters" in CliRunner().invoke(make_command(), ["models", "list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pin", "letters", 3], "there is no bundle letters version 3"),
        (["pin", "letters", 0], "0 is not in the range x>=1"),
        (["pin", "lettres", 1], "there is no model 'lettres'"),
        (["unpin", "letters"], "no version of letters has the label 'stable'; labels: none"),
        (["label", "letters", "Old", 1], "'Old' is no label; use a-z, 0-9 and '-', and begin with a letter"),
        (["shadow", "letters", 2], "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(store: Store, arguments: list[object], message: str) -> None:
    result = run(store, *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert not [*store.root.rglob("policy.json")]
