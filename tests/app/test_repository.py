import logging
import os
import shutil
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from app.errors import ModelNotFoundError, ModelRefusedError, NotReadyError
from app.repository import Repository
from app.settings import Settings
from bundle.errors import ManifestError
from bundle.manifest import Description
from bundle.store import Bundle, Store
from tests.app.conftest import Log


@pytest.fixture
def store(small_store: Store, empty_models: Path) -> Store:
    """A store of its own with one model."""
    shutil.copytree(small_store.root / "next-letter", empty_models / "next-letter")
    return Store(empty_models)


class UnreadableStore(Store):
    """A store as the operating system makes it for a user without the right to read, which root always has."""

    def names(self) -> list[str]:
        raise PermissionError(13, "Permission denied", str(self.root))


def republish(store: Store, name: str) -> Path:
    """Publish the latest version of a name once more."""
    return publish(store, name, store.open(name).model_path)


def publish(store: Store, name: str, network: Path) -> Path:
    """Publish a network, right or wrong, with what the latest version of a name says of its own."""
    latest = store.open(name).manifest
    with store.stage(name) as staged:
        shutil.copy(network, staged / "model.keras")
        fields = {field: getattr(latest, field) for field in Description.model_fields}
        return store.publish(staged, Description(**fields)).folder


def test_the_latest_version_answers(store: Store) -> None:
    republish(store, "next-letter")
    repository = Repository(store, Settings())
    repository.load()
    assert repository.next_letter(None).bundle.manifest.version == 2


def test_the_largest_model_is_loaded_first(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Watched(Store):
        def open(self, name: str, version: int | None = None) -> Bundle:
            opened.append(name)
            raise ManifestError(f"{name} {version or 'latest'} is not loaded here")

    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    Repository(Watched(small_store.root), Settings()).load()
    sizes = [small_store.size(name) for name in opened]
    assert sizes == sorted(sizes, reverse=True) and set(opened) == set(small_store.names())


def test_before_loading_nothing_is_ready(store: Store) -> None:
    repository = Repository(store, Settings())
    with pytest.raises(NotReadyError):
        repository.check_ready()
    with pytest.raises(NotReadyError):
        repository.find("next-letter")
    assert not repository._loaded.is_set()


def test_a_stopped_repository_loads_no_further_model(store: Store) -> None:
    repository = Repository(store, Settings())
    repository.stop()
    repository.load()
    assert [(model.name, model.status) for model in repository.summaries()] == [("next-letter", "loading")]


def test_a_model_that_is_being_loaded_is_listed_so(store: Store) -> None:
    manifest = store.root / "next-letter" / "1" / "manifest.json"
    contents = manifest.read_bytes()
    manifest.unlink()
    os.mkfifo(manifest)  # whoever reads it waits until somebody writes
    repository = Repository(store, Settings())
    thread = threading.Thread(target=repository.load)
    thread.start()
    with manifest.open("wb") as pipe:  # returns once the repository reads
        assert [model.status for model in repository.summaries()] == ["loading"]
        pipe.write(contents)
    thread.join()
    assert [model.status for model in repository.summaries()] == ["ready"]


def test_a_network_that_keras_cannot_load_is_refused(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"not a network")
    publish(store, "next-letter", broken)
    repository = Repository(store, Settings())
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    repository.load()
    with pytest.raises(ModelRefusedError, match="its network cannot be loaded"):
        repository.find("next-letter")
    with pytest.raises(ModelRefusedError):
        repository.check_ready()
    assert "model.keras" in caplog.text


def test_a_network_that_does_not_fit_its_manifest_is_refused(store: Store, small_store: Store) -> None:
    publish(store, "next-letter", small_store.open("alphabet-variable-length").model_path)
    repository = Repository(store, Settings())
    repository.load()
    with pytest.raises(ModelRefusedError, match=r"maps \(None, 5, 1\)"):
        repository.next_letter(None)


def test_a_network_that_answers_nan_is_refused(store: Store, tmp_path: Path) -> None:
    network = keras.saving.load_model(store.open("next-letter").model_path)
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(tmp_path / "nan.keras")
    publish(store, "next-letter", tmp_path / "nan.keras")
    repository = Repository(store, Settings())
    repository.load()
    with pytest.raises(ModelRefusedError, match="answers with NaN"):
        repository.next_letter(None)


def test_a_folder_that_cannot_be_read_is_no_models_with_the_reason(store: Store) -> None:
    repository = Repository(UnreadableStore(store.root), Settings())
    repository.load()
    with pytest.raises(NotReadyError, match="there are no models in .*models .*Permission denied.*; train or mount"):
        repository.check_ready()


def test_a_model_whose_folder_cannot_be_read_is_refused_and_the_others_are_served(store: Store) -> None:
    class PartlyReadable(Store):
        def versions(self, name: str) -> list[int]:
            if name == "hidden":
                raise PermissionError(13, "Permission denied", str(self.root / name))
            return super().versions(name)

    (store.root / "hidden").mkdir()
    repository = Repository(PartlyReadable(store.root), Settings())
    repository.load()
    assert repository.next_letter(None).bundle.manifest.name == "next-letter"
    with pytest.raises(ModelRefusedError, match="^hidden is refused: "):
        repository.check_ready()


def test_an_unknown_name_is_not_found_while_others_are_loaded(store: Store) -> None:
    manifest = store.root / "next-letter" / "1" / "manifest.json"
    contents = manifest.read_bytes()
    manifest.unlink()
    os.mkfifo(manifest)
    repository = Repository(store, Settings())
    thread = threading.Thread(target=repository.load)
    thread.start()
    with manifest.open("wb") as pipe:
        with pytest.raises(ModelNotFoundError):
            repository.find("next-lettre")
        with pytest.raises(NotReadyError):
            repository.find("next-letter")
        pipe.write(contents)
    thread.join()


def test_a_task_without_its_default_model_says_so(store: Store) -> None:
    repository = Repository(store, Settings())
    repository.load()
    with pytest.raises(ModelNotFoundError, match="there is no model 'sentiment'; there are: next-letter"):
        repository.sentiment(None)


def test_loading_is_logged_with_name_and_version(store: Store, log: Log) -> None:
    Repository(store, Settings()).load()
    line = log.wait_for(message="loaded")
    assert (line["model"], line["version"]) == ("next-letter", 1)
