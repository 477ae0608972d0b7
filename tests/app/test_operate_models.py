import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.command import make_command
from bundle.store import Store
from tests.bundle.samples import LETTERS, copy_with_two_versions, publish


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of its own with two versions of one model."""
    return copy_with_two_versions(small_store, tmp_path / "models")


def run(store: Store, *arguments: object) -> Result:
    return CliRunner().invoke(make_command(), ["--models", str(store.root), "models", *map(str, arguments)])


def change(store: Store, *arguments: object) -> Any:
    """Run a command that succeeds, and return the policy that it prints."""
    result = run(store, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_versions_are_pinned_labelled_and_released(store: Store) -> None:
    assert change(store, "pin", "next-letter", 1)["labels"] == {"stable": 1}
    assert change(store, "label", "next-letter", "candidate", 2)["labels"] == {"candidate": 2, "stable": 1}
    assert change(store, "unpin", "next-letter")["labels"] == {"candidate": 2}
    assert change(store, "unlabel", "next-letter", "candidate")["labels"] == {}


def test_the_share_of_shadow_requests_is_set(store: Store) -> None:
    assert change(store, "shadow", "next-letter", 0.1)["shadow_share"] == 0.1


def test_a_model_is_unloaded_and_loaded(store: Store) -> None:
    assert not change(store, "unload", "next-letter")["is_loaded"]
    assert change(store, "load", "next-letter")["is_loaded"]


def test_the_list_has_a_line_for_each_model(store: Store) -> None:
    publish(store, LETTERS)
    run(store, "pin", "next-letter", 1)
    lines = [json.loads(line) for line in run(store, "list").stdout.splitlines()]
    assert lines == [
        {"name": "letters", "versions": [1], "labels": {}, "shadow_share": 0, "is_loaded": True},
        {"name": "next-letter", "versions": [1, 2], "labels": {"stable": 1}, "shadow_share": 0, "is_loaded": True},
    ]


def test_the_list_goes_on_after_a_policy_that_cannot_be_used(store: Store) -> None:
    publish(store, LETTERS)
    (store.root / "letters" / "policy.json").write_text("{")
    listed = run(store, "list")
    assert listed.exit_code == 1
    first, second = map(json.loads, listed.stdout.splitlines())
    assert "letters/policy.json is not a policy" in first["problem"]
    assert second["name"] == "next-letter"


def test_the_list_names_folders_that_are_ignored(store: Store) -> None:
    (store.root / "next-letter" / "1.0").mkdir()
    listed = run(store, "list")
    assert listed.exit_code == 1
    line = json.loads(listed.stdout)
    assert line["versions"] == [1, 2]
    assert line["problem"].startswith("ignored beside the versions: folder 1.0; ")


def test_the_folder_is_that_of_the_environment_by_default(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_SERVE_MODELS", str(store.root))
    assert "next-letter" in CliRunner().invoke(make_command(), ["models", "list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pin", "next-letter", 3], "there is no bundle next-letter version 3"),
        (["pin", "next-letter", 0], "0 is not in the range x>=1"),
        (["pin", "lettres", 1], "there is no model 'lettres'"),
        (["unpin", "next-letter"], "no version of next-letter has the label 'stable'; labels: none"),
        (["label", "next-letter", "Old", 1], "'Old' is no label; use a-z, 0-9 and '-', and begin with a letter"),
        (["shadow", "next-letter", "nan"], "the change is not possible: shadow_share: Input should be"),
        (["pin", "next-letter", 10**15], "there is no bundle next-letter version 1000000000000000"),
        (["shadow", "next-letter", 2], "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(store: Store, arguments: list[object], message: str) -> None:
    result = run(store, *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert not [*store.root.rglob("policy.json")]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = run(Store(tmp_path / "none"), "list")
    assert result.exit_code == 1
    assert "error: there is no folder" in result.output
