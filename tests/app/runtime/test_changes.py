import sys
from pathlib import Path

import pytest

from app.errors import EngineError, PolicyError
from app.runtime.changes import Changes
from app.settings import Settings
from bundle.errors import BundleNotFoundError, ChecksumError
from bundle.store import Store
from tests.bundle.samples import copy_with_two_versions, publish_changed


@pytest.fixture
def store(small_store: Store, tmp_path: Path) -> Store:
    """A store of its own with two versions of one model."""
    return copy_with_two_versions(small_store, tmp_path / "models")


@pytest.fixture
def changes(store: Store) -> Changes:
    return Changes(store, Settings())


def test_a_label_is_given_moved_and_removed(changes: Changes) -> None:
    assert changes.set_label("next-letter", "stable", 1).labels == {"stable": 1}
    changes.set_label("next-letter", "candidate", 2)
    assert changes.set_label("next-letter", "stable", 2).labels == {"candidate": 2, "stable": 2}
    assert changes.remove_label("next-letter", "candidate").labels == {"stable": 2}
    assert changes.read("next-letter").labels == {"stable": 2}


def test_a_label_needs_a_version_that_can_be_used(changes: Changes, store: Store) -> None:
    with pytest.raises(
        BundleNotFoundError, match="there is no bundle next-letter version 3 in .*; its versions are 1, 2"
    ):
        changes.set_label("next-letter", "stable", 3)
    (store.root / "next-letter" / "1" / "model.keras").write_bytes(b"changed")
    with pytest.raises(ChecksumError):
        changes.set_label("next-letter", "stable", 1)
    publish_changed(store, store.open("next-letter", 2), {"model.onnx": b"not a network"})
    with pytest.raises(EngineError, match="the network in .*/3 cannot be loaded: "):
        changes.set_label("next-letter", "stable", 3)
    assert changes.read("next-letter").labels == {}


def test_a_label_that_no_version_has_is_named_with_the_others(changes: Changes) -> None:
    changes.set_label("next-letter", "candidate", 2)
    with pytest.raises(
        BundleNotFoundError, match="no version of next-letter has the label 'stable'; labels: candidate"
    ):
        changes.remove_label("next-letter", "stable")


def test_a_share_of_the_requests_goes_to_the_candidate_too(changes: Changes) -> None:
    assert changes.set_shadow_share("next-letter", 0.5).shadow_share == 0.5


def test_a_model_is_unloaded_and_loaded(changes: Changes) -> None:
    assert not changes.set_loaded("next-letter", is_loaded=False).is_loaded
    assert changes.set_loaded("next-letter", is_loaded=True).is_loaded


@pytest.mark.parametrize("name", ["lettres", "..", "next-letter/1", ""])
def test_a_name_that_is_no_model_changes_nothing(changes: Changes, store: Store, name: str) -> None:
    with pytest.raises(BundleNotFoundError, match=f"there is no model '{name}' in .*; there are: next-letter"):
        changes.set_loaded(name, is_loaded=False)
    assert not [*store.root.rglob("policy.json")]


def test_a_label_is_for_a_version_that_the_engine_can_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EngineError, match="TensorFlow|tensorflow"):
        Changes(store, Settings(engine="tensorflow")).set_label("next-letter", "stable", 1)


def test_what_cannot_be_read_is_told() -> None:
    class Unreadable(Store):
        def names(self) -> list[str]:
            raise PermissionError(13, "Permission denied")

        def versions(self, name: str) -> list[int]:
            raise PermissionError(13, "Permission denied", name)

    changes = Changes(Unreadable(Path("models")), Settings())
    with pytest.raises(PolicyError, match=r"^models cannot be read \(Permission denied\); make it readable$"):
        changes.set_loaded("next-letter", is_loaded=True)
    with pytest.raises(PolicyError, match=r"^models/next-letter cannot be read \(Permission denied\)"):
        changes.list_versions("next-letter")
