import gc
import shutil
import time
import weakref
from pathlib import Path

import pytest

from app.errors import ModelNotFoundError, ModelRefusedError
from app.runtime.changes import Changes
from app.runtime.policy import GOOD_FILE, POLICY_FILE, change_policy
from app.runtime.repository import Repository
from app.settings import Settings
from app.telemetry.metrics import REGISTRY, write
from bundle.store import Bundle, Store
from tests.app.conftest import Log
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS
from tests.rights import modes_hold

REFUSED = "which is refused: its network cannot be loaded; the service's log has the reason"
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


def count_faults() -> float | None:
    """Return in how many processes, of this one, the policy is not followed."""
    write()
    labels = {"model": "next-letter", "version": "", "state": "not-followed"}
    return REGISTRY.get_sample_value("lstm_serve_models", labels)


def label(store: Store, **labels: int) -> None:
    """Write a policy by hand, also with a version that cannot be used."""
    change_policy(store.root / "next-letter", lambda policy: policy.model_copy(update={"labels": labels}))


def replace_version(store: Store, tmp_path: Path, files: dict[str, bytes]) -> None:
    """Replace version 1 by another bundle with its number."""
    folder = store.root / "next-letter" / "1"
    other = Store(tmp_path / "others")
    publish_changed(other, store.open("next-letter", 1), files)
    shutil.rmtree(folder)
    shutil.copytree(other.root / "next-letter" / "1", folder)


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
    Changes(store, Settings()).set_label("next-letter", "old", 1)
    service.follow()
    log.wait_for(message="loaded", version=1)
    log.wait_for(message="loaded", version=1)
    assert log.text.count("refused") == 1
    assert (service.default, service.refused) == (3, [2])


def test_a_pinned_version_answers_whatever_is_newer(store: Store) -> None:
    service = Service(store)
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    publish(store)
    service.follow()
    assert (service.default, service.loaded) == (1, [1, 2])
    Changes(store, Settings()).remove_label("next-letter", "stable")
    service.follow()
    assert (service.default, service.loaded) == (2, [2])


def test_a_label_moves_only_onto_a_version_that_loads(store: Store, log: Log) -> None:
    service = Service(store)
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    publish(store, BAD)
    service.follow()
    label(store, stable=2)
    service.follow()
    assert service.default == 1
    versions = service.repository.models["next-letter"]
    assert versions.labels == {"stable": 1}
    assert versions.problem == f"the label stable is to be on version 2, {REFUSED}; it stays on version 1"
    assert log.wait_for(message=versions.problem)["level"] == "ERROR"
    assert service.repository.find("next-letter", "stable").manifest.version == 1
    label(store, stable=1)
    service.follow()
    assert service.repository.models["next-letter"].problem is None


def test_a_process_that_starts_without_the_version_of_a_label_says_so(store: Store) -> None:
    publish(store, BAD)
    label(store, stable=2)
    service = Service(store)
    problem = service.repository.models["next-letter"].problem
    assert problem == f"the label stable is to be on version 2, {REFUSED}; no version has it"
    assert service.default == 1


def test_a_version_newer_than_the_pinned_one_never_answers_by_default(store: Store) -> None:
    for _ in range(2):
        publish(store)
    label(store, stable=2)
    (store.root / "next-letter" / "2" / "model.onnx").write_bytes(b"changed")
    service = Service(store)
    assert (service.default, service.loaded) == (1, [1, 3])
    shutil.rmtree(store.root / "next-letter" / "1")
    service.follow()
    assert service.loaded == [3]
    assert not service.repository.is_ready()
    with pytest.raises(ModelRefusedError, match="the label stable is to be on version 2, which is refused: .*SHA-256"):
        service.repository.find("next-letter")
    shutil.rmtree(store.root / "next-letter" / "2")
    service.follow()
    assert "which is not there; no version has it" in (service.repository.models["next-letter"].problem or "")
    label(store)
    service.follow()
    assert service.default == 3


def test_a_mended_mode_is_seen(store: Store) -> None:
    service = Service(store)
    publish(store)
    file = store.root / "next-letter" / "2" / "model.onnx"
    file.rename(file.with_name("hidden"))
    (store.root / "next-letter" / "2" / ".link").symlink_to("nowhere")
    service.follow()
    assert service.refused == [2]
    file.with_name("hidden").rename(file)
    service.follow()
    assert (service.default, service.refused) == (2, [])


def test_a_version_that_is_replaced_under_its_number_is_loaded_again(store: Store, tmp_path: Path) -> None:
    service = Service(store)
    old = service.repository.find("next-letter")
    replace_version(store, tmp_path, {"vocabulary.txt": b"another file"})
    service.follow()
    new = service.repository.find("next-letter")
    assert new is not old and (service.default, service.loaded) == (1, [1])


def test_a_version_that_is_replaced_by_a_bad_one_answers_as_before(store: Store, tmp_path: Path) -> None:
    service = Service(store)
    old = service.repository.find("next-letter")
    replace_version(store, tmp_path, BAD)
    service.follow()
    assert service.repository.find("next-letter") is old
    assert (service.loaded, service.refused) == ([1], [1])
    service.follow()
    assert service.repository.find("next-letter") is old


def test_what_could_not_be_read_is_tried_again_although_nothing_has_changed(store: Store, log: Log) -> None:
    class SometimesUnreadable(Store):
        failures = 2

        def open(self, name: str, version: int | None = None) -> Bundle:
            if self.failures:
                self.failures -= 1
                raise OSError(5, "Input/output error")
            return super().open(name, version)

    service = Service(SometimesUnreadable(store.root))
    assert service.refused == [1]
    end = time.monotonic() + SECONDS
    while not service.loaded:
        assert time.monotonic() < end
        service.follow()
    assert (service.default, service.refused) == (1, [])
    log.wait_for(message="loaded", version=1)
    assert log.text.count("refused") == 1


def test_a_policy_that_cannot_be_read_is_tried_again(store: Store, log: Log) -> None:
    service = Service(store)
    (store.root / "next-letter" / POLICY_FILE).mkdir()
    service.follow()
    end = time.monotonic() + SECONDS
    while not service.repository.follow():
        assert time.monotonic() < end
    assert "cannot be read" in (service.repository.models["next-letter"].problem or "")
    log.wait_for(level="ERROR")
    assert log.text.count("cannot be read") == 1
    (store.root / "next-letter" / POLICY_FILE).rmdir()
    service.follow()
    assert service.repository.models["next-letter"].problem is None


@pytest.mark.parametrize("place", ["next-letter", "next-letter/1"])
def test_a_folder_that_may_not_be_read_is_told_as_that(store: Store, log: Log, place: str) -> None:
    folder = store.root / place
    with modes_hold():
        service = Service(store)
        folder.chmod(0)
        service.follow()
        versions = service.repository.models["next-letter"]
        folder.chmod(0o755)
    assert service.default == 1  # as it was loaded before
    told = [why for why in (versions.problem, *versions.refused.values()) if why]
    assert told and all(why.startswith("next-letter") and "cannot be read" in why for why in told)
    assert all("Permission denied" in why and str(store.root) not in why for why in told)
    assert "Permission denied" in log.wait_for(level="ERROR")["message"]
    assert "Traceback" not in log.text


def test_folders_that_are_no_versions_are_told(store: Store, log: Log) -> None:
    service = Service(store)
    assert service.repository.models["next-letter"].misnamed is None
    for name in ("01", "v2"):
        (store.root / "next-letter" / name).mkdir()
    service.follow()
    service.follow()
    misnamed = service.repository.models["next-letter"].misnamed
    assert misnamed == (
        "ignored beside the versions: folders 01, v2; the name of a version is a number from 1 on, without leading "
        "zeros, such as 2: rename or remove what is ignored"
    )
    assert service.default == 1
    log.wait_for(level="WARNING", message=misnamed, model="next-letter")
    for name in ("01", "v2"):
        (store.root / "next-letter" / name).rmdir()
    service.follow()
    assert service.repository.models["next-letter"].misnamed is None
    assert log.text.count("ignored beside") == 1


def test_a_model_with_nothing_but_misnamed_folders_says_so(store: Store) -> None:
    (store.root / "next-letter" / "1").rename(store.root / "next-letter" / "v1")
    service = Service(store)
    with pytest.raises(ModelRefusedError, match="next-letter is refused: ignored beside the versions: folder v1; "):
        service.repository.find("next-letter")


@pytest.mark.parametrize("wrong", ['{"labels": {"stable": 99}}', '{"labels": {"stable": 2}}', "{", '{"labels": 1}'])
def test_after_a_wrong_edit_a_process_that_starts_answers_as_those_that_run(store: Store, log: Log, wrong: str) -> None:
    publish(store, BAD)
    publish(store)
    running = Service(store)
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    running.follow()
    (store.root / "next-letter" / POLICY_FILE).write_text(wrong)
    running.follow()
    starting = Service(store)
    for service in (running, starting):
        assert (service.default, service.loaded) == (1, [1, 3])
        assert service.repository.models["next-letter"].labels == {"stable": 1}
        assert service.repository.is_ready()
        assert service.repository.models["next-letter"].problem
    log.wait_for(level="ERROR", model="next-letter")
    assert count_faults() == 1
    (store.root / "next-letter" / POLICY_FILE).unlink()
    running.follow()
    starting.follow()
    assert (running.default, starting.default, Service(store).default) == (3, 3, 3)
    assert count_faults() == 0


def test_after_a_wrong_first_edit_a_process_that_starts_answers_too(store: Store) -> None:
    running = Service(store)
    (store.root / "next-letter" / POLICY_FILE).write_text("{")
    running.follow()
    assert Service(store).default == running.default == 1


def test_a_process_that_has_never_had_a_good_policy_answers_nothing(store: Store) -> None:
    (store.root / "next-letter" / POLICY_FILE).write_text("{")
    service = Service(store)
    assert not service.loaded and not service.repository.is_ready()
    (store.root / "next-letter" / GOOD_FILE).write_text("{")
    assert not Service(store).loaded


def test_a_good_policy_that_cannot_be_kept_is_followed(store: Store, log: Log) -> None:
    service = Service(store)
    (store.root / "next-letter" / GOOD_FILE).mkdir()
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    service.follow()
    log.wait_for(message="the last good policy cannot be kept for processes that start later: Is a directory")
    assert service.repository.models["next-letter"].labels == {"stable": 1}


def test_policies_may_be_in_a_folder_of_their_own(store: Store, tmp_path: Path) -> None:
    publish(store)
    settings = Settings(policies=tmp_path / "policies")
    repository = Repository(store, settings)
    repository.load()
    repository.changes.set_label("next-letter", "stable", 1)
    assert [path.name for path in (tmp_path / "policies" / "next-letter").iterdir()] == [POLICY_FILE]
    repository.follow()
    repository.follow()
    assert repository.find("next-letter").manifest.version == 1


def test_a_version_that_is_deleted_is_unloaded_and_the_newest_other_one_answers(store: Store) -> None:
    publish(store)
    service = Service(store)
    Changes(store, Settings()).set_label("next-letter", "stable", 2)
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
    Changes(store, Settings()).set_label("next-letter", "candidate", 2)
    service.follow()
    assert service.repository.models["next-letter"].candidate is None
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    service.follow()
    versions = service.repository.models["next-letter"]
    assert versions.candidate and versions.candidate.manifest.version == 2


def test_an_unloaded_model_is_loaded_again(store: Store) -> None:
    service = Service(store)
    Changes(store, Settings()).set_loaded("next-letter", is_loaded=False)
    service.follow()
    assert not service.loaded
    Changes(store, Settings()).set_loaded("next-letter", is_loaded=True)
    service.follow()
    assert service.default == 1


def test_a_policy_that_cannot_be_used_changes_nothing_and_is_logged_once(store: Store, log: Log) -> None:
    publish(store)
    Changes(store, Settings()).set_label("next-letter", "stable", 1)
    service = Service(store)
    policy = store.root / "next-letter" / POLICY_FILE
    policy.write_text("{")
    for _ in range(3):
        service.follow()
    assert service.default == 1
    assert "is not a policy" in log.wait_for(level="ERROR")["message"]
    assert service.repository.models["next-letter"].problem == (
        "next-letter/policy.json is not a policy: it is not JSON at line 1, column 1; correct it or delete it"
    )
    policy.unlink()
    service.follow()
    log.wait_for(message="the version that answers by default", version=2)
    assert log.text.count("is not a policy") == 1
