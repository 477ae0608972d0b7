import gc
import shutil
import weakref
from pathlib import Path

import pytest

from app.errors import ModelNotFoundError, ModelRefusedError
from app.runtime import operation
from app.runtime.policy import POLICY_FILE
from app.runtime.repository import Repository
from app.settings import Settings
from bundle.store import Store
from tests.app.conftest import Log
from tests.bundle.samples import publish_changed

BAD = {"model.onnx": b"not a network"}


@pytest.fixture
def store(small_store: Store, empty_models: Path) -> Store:
    """A store of its own with one model."""
    shutil.copytree(small_store.root / "next-letter", empty_models / "next-letter")
    return Store(empty_models)


class Service:
    """A repository of one model, and what its versions are."""

    def __init__(self, store: Store, loaded_versions: int = 1) -> None:
        self.repository = Repository(store, Settings(loaded_versions=loaded_versions))
        self.repository.load()

    def follow(self) -> None:
        """Follow what has changed in the store: the second look shows that it is complete."""
        self.repository.follow()
        self.repository.follow()

    @property
    def default(self) -> int:
        return self.repository.find("next-letter").manifest.version

    @property
    def loaded(self) -> list[int]:
        return [*self.repository.models["next-letter"].loaded]

    @property
    def refused(self) -> list[int]:
        return [*self.repository.models["next-letter"].refused]


def publish(store: Store, files: dict[str, bytes] | None = None) -> int:
    return publish_changed(store, store.open("next-letter", 1), files).manifest.version


def test_a_new_version_replaces_the_old_one_which_is_freed_with_its_last_request(store: Store) -> None:
    service = Service(store)
    of_request = service.repository.find("next-letter")
    old = weakref.ref(of_request)
    publish(store)
    service.follow()
    assert (service.default, service.loaded) == (2, [2])
    assert old()
    del of_request
    gc.collect()
    assert not old()


def test_a_folder_that_still_changes_is_not_loaded(store: Store) -> None:
    service = Service(store)
    version = publish(store)
    shutil.move(store.root / "next-letter" / "2", store.root / "copied")
    target = store.root / "next-letter" / "2"
    target.mkdir()
    for file in (store.root / "copied").iterdir():
        service.repository.follow()
        shutil.copy(file, target)
    assert (service.loaded, service.refused) == ([1], [])
    service.follow()
    assert service.default == version


def test_a_bad_version_leaves_the_old_one_and_is_loaded_once_it_is_mended(store: Store, log: Log) -> None:
    service = Service(store)
    publish(store)
    manifest = store.root / "next-letter" / "2" / "model.onnx"
    good = manifest.read_bytes()
    manifest.write_bytes(b"truncated")
    service.follow()
    assert (service.default, service.loaded, service.refused) == (1, [1], [2])
    assert service.repository.is_ready()
    log.wait_for(level="ERROR", model="next-letter", version=2)
    with pytest.raises(
        ModelRefusedError, match="next-letter version 2 is refused: next-letter/2/model.onnx has SHA-256"
    ):
        service.repository.find("next-letter", 2)
    manifest.write_bytes(good)
    service.follow()
    assert (service.default, service.refused) == (2, [])


def test_a_process_that_starts_later_chooses_the_same_version(store: Store) -> None:
    publish(store)
    publish(store, BAD)
    assert Service(store).default == 2
    assert Service(store, loaded_versions=2).loaded == [1, 2]


def test_a_version_that_was_refused_is_not_loaded_again_with_each_change(store: Store, log: Log) -> None:
    service = Service(store)
    publish(store, BAD)
    service.follow()
    publish(store)
    service.follow()
    operation.set_label(store, "next-letter", "old", 1)
    service.follow()
    log.wait_for(message="loaded", version=1)
    log.wait_for(message="loaded", version=1)
    assert log.text.count("refused") == 1
    assert (service.default, service.refused) == (3, [2])


def test_a_pinned_version_answers_whatever_is_newer(store: Store) -> None:
    service = Service(store)
    operation.set_label(store, "next-letter", "stable", 1)
    publish(store)
    service.follow()
    assert (service.default, service.loaded) == (1, [1, 2])
    operation.remove_label(store, "next-letter", "stable")
    service.follow()
    assert (service.default, service.loaded) == (2, [2])


def test_a_label_moves_only_onto_a_version_that_loads(store: Store) -> None:
    service = Service(store)
    operation.set_label(store, "next-letter", "stable", 1)
    publish(store, BAD)
    service.follow()
    operation.set_label(store, "next-letter", "stable", 2)
    service.follow()
    assert service.default == 1
    assert service.repository.models["next-letter"].labels == {"stable": 1}
    assert service.repository.find("next-letter", "stable").manifest.version == 1


def test_a_version_that_is_deleted_is_unloaded_and_the_newest_other_one_answers(store: Store) -> None:
    publish(store)
    service = Service(store)
    operation.set_label(store, "next-letter", "stable", 2)
    service.follow()
    shutil.rmtree(store.root / "next-letter" / "2")
    service.follow()
    assert (service.default, service.loaded) == (1, [1])
    with pytest.raises(ModelNotFoundError, match="there is no version 2 of next-letter; there are: 1"):
        service.repository.find("next-letter", 2)
    with pytest.raises(
        ModelNotFoundError, match="there is no label 'stable' of next-letter; labels: none; loaded versions: 1"
    ):
        service.repository.find("next-letter", "stable")


def test_a_version_that_is_not_loaded_says_how_to_load_it(store: Store) -> None:
    publish(store)
    with pytest.raises(
        ModelNotFoundError, match="version 1 of next-letter is not loaded; there are: 2; give it a label to load it"
    ):
        Service(store).repository.find("next-letter", 1)


def test_the_candidate_is_a_version_besides_the_one_that_answers(store: Store) -> None:
    publish(store)
    service = Service(store)
    versions = service.repository.models["next-letter"]
    assert versions.candidate is None
    operation.set_label(store, "next-letter", "candidate", 2)
    service.follow()
    assert service.repository.models["next-letter"].candidate is None
    operation.set_label(store, "next-letter", "stable", 1)
    service.follow()
    versions = service.repository.models["next-letter"]
    assert versions.candidate and versions.candidate.manifest.version == 2


def test_an_unloaded_model_is_loaded_again(store: Store) -> None:
    service = Service(store)
    operation.set_loaded(store, "next-letter", is_loaded=False)
    service.follow()
    assert not service.loaded
    operation.set_loaded(store, "next-letter", is_loaded=True)
    service.follow()
    assert service.default == 1


def test_a_policy_that_cannot_be_used_changes_nothing_and_is_logged_once(store: Store, log: Log) -> None:
    publish(store)
    operation.set_label(store, "next-letter", "stable", 1)
    service = Service(store)
    policy = store.root / "next-letter" / POLICY_FILE
    policy.write_text("{")
    for _ in range(3):
        service.follow()
    assert service.default == 1
    assert "is not a policy" in log.wait_for(level="ERROR")["message"]
    assert service.repository.models["next-letter"].problem == (
        "next-letter/policy.json is not a policy: file: Invalid JSON: EOF while parsing an object at line 1 column 1; "
        "correct it or delete it"
    )
    policy.unlink()
    service.follow()
    log.wait_for(message="the version that answers by default", version=2)
    assert log.text.count("is not a policy") == 1
