import pytest

from app.runtime import operation
from bundle.errors import BundleNotFoundError, ChecksumError
from bundle.store import Store
from tests.bundle.samples import LETTERS, publish


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("models"))
    for _ in range(2):
        publish(store, LETTERS)
    return store


def test_a_label_is_given_moved_and_removed(store: Store) -> None:
    assert operation.set_label(store, "letters", "stable", 1).labels == {"stable": 1}
    operation.set_label(store, "letters", "candidate", 2)
    assert operation.set_label(store, "letters", "stable", 2).labels == {"candidate": 2, "stable": 2}
    assert operation.remove_label(store, "letters", "candidate").labels == {"stable": 2}
    assert operation.read(store, "letters").labels == {"stable": 2}


def test_a_label_needs_a_version_that_can_be_used(store: Store) -> None:
    with pytest.raises(BundleNotFoundError, match="there is no bundle letters version 3 in .*; its versions are 1, 2"):
        operation.set_label(store, "letters", "stable", 3)
    (store.root / "letters" / "1" / "model.keras").write_bytes(b"changed")
    with pytest.raises(ChecksumError):
        operation.set_label(store, "letters", "stable", 1)
    assert operation.read(store, "letters").labels == {}


def test_a_label_that_no_version_has_is_named_with_the_others(store: Store) -> None:
    operation.set_label(store, "letters", "candidate", 2)
    with pytest.raises(BundleNotFoundError, match="no version of letters has the label 'stable'; labels: candidate"):
        operation.remove_label(store, "letters", "stable")


def test_a_share_of_the_requests_goes_to_the_candidate_too(store: Store) -> None:
    assert operation.set_shadow_share(store, "letters", 0.5).shadow_share == 0.5


def test_a_model_is_unloaded_and_loaded(store: Store) -> None:
    assert not operation.set_loaded(store, "letters", is_loaded=False).is_loaded
    assert operation.set_loaded(store, "letters", is_loaded=True).is_loaded


@pytest.mark.parametrize("name", ["lettres", "..", "letters/1", ""])
def test_a_name_that_is_no_model_changes_nothing(store: Store, name: str) -> None:
    with pytest.raises(BundleNotFoundError, match=f"there is no model '{name}' in .*; there are: letters"):
        operation.set_loaded(store, name, is_loaded=False)
    assert not [*store.root.rglob("policy.json")]
