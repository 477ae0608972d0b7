import logging
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from app.errors import ModelNotFoundError, ModelRefusedError, NotReadyError
from app.repository import Repository
from app.settings import Settings
from bundle.store import Store
from tests.app.conftest import Log
from tests.bundle.samples import publish_changed, publish_without_onnx


@pytest.fixture
def store(small_store: Store, empty_models: Path) -> Store:
    """A store of its own with one model."""
    shutil.copytree(small_store.root / "next-letter", empty_models / "next-letter")
    return Store(empty_models)


class UnreadableStore(Store):
    """A store as the operating system makes it for a user without the right to read, which root always has."""

    def names(self) -> list[str]:
        raise PermissionError(13, "Permission denied", str(self.root))


def load(store: Store, settings: Settings | None = None) -> Repository:
    """Return a repository that has loaded what it can."""
    repository = Repository(store, settings or Settings())
    repository.load()
    return repository


def test_the_latest_version_answers(store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    repository = load(store)
    repository.check_ready()
    assert repository.next_letter(None).bundle.manifest.version == 2


def test_a_repository_that_has_loaded_nothing_has_nothing(store: Store) -> None:
    repository = Repository(store, Settings())
    assert repository.summaries() == []
    with pytest.raises(NotReadyError):
        repository.check_ready()
    with pytest.raises(ModelNotFoundError):
        repository.find("next-letter")


@pytest.mark.parametrize("file", ["model.onnx", "model.keras"])
def test_a_network_that_no_engine_can_load_is_refused_with_the_reason_in_the_log(
    store: Store, file: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = publish_changed(store, store.open("next-letter"), {file: b"not a network"})
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    repository = load(store, Settings(engine="onnx" if file == "model.onnx" else "tensorflow"))
    with pytest.raises(ModelRefusedError, match="its network cannot be loaded"):
        repository.find("next-letter")
    with pytest.raises(ModelRefusedError, match="^next-letter is refused: "):
        repository.check_ready()
    assert str(broken.folder / file) in caplog.text


def test_a_network_of_another_task_is_refused(store: Store, small_store: Store) -> None:
    other = small_store.open("imdb-500").onnx_path("float32").read_bytes()
    publish_changed(store, store.open("next-letter"), {"model.onnx": other})
    with pytest.raises(ModelRefusedError, match="its network cannot be loaded"):
        load(store).next_letter(None)


def test_a_network_that_does_not_fit_its_manifest_is_refused(store: Store, small_store: Store) -> None:
    other = small_store.open("alphabet-variable-length").model_path.read_bytes()
    publish_changed(store, store.open("next-letter"), {"model.keras": other})
    with pytest.raises(ModelRefusedError, match=r"reads rows of the shape \(5, 1\)"):
        load(store, Settings(engine="tensorflow")).next_letter(None)


def test_a_network_that_answers_nan_is_refused(store: Store, tmp_path: Path) -> None:
    network = keras.saving.load_model(store.open("next-letter").model_path)
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(tmp_path / "nan.keras")
    publish_changed(store, store.open("next-letter"), {"model.keras": (tmp_path / "nan.keras").read_bytes()})
    with pytest.raises(ModelRefusedError, match="answers with NaN"):
        load(store, Settings(engine="tensorflow")).next_letter(None)


def test_a_bundle_that_needs_what_is_not_installed_is_refused_and_the_others_are_served(
    store: Store, small_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    publish_without_onnx(store, small_store.open("imdb-500"))
    repository = load(store)
    assert [(model.name, model.status) for model in repository.summaries()] == [
        ("imdb-500", "refused"),
        ("next-letter", "ready"),
    ]
    with pytest.raises(ModelRefusedError, match="^imdb-500 is refused: .*TensorFlow is not installed"):
        repository.check_ready()


def test_a_folder_that_cannot_be_read_is_no_models_with_the_reason(store: Store) -> None:
    repository = load(UnreadableStore(store.root))
    with pytest.raises(NotReadyError, match="there are no models in .*models .*Permission denied.*; train or mount"):
        repository.check_ready()


def test_a_model_whose_folder_cannot_be_read_is_refused_and_the_others_are_served(store: Store) -> None:
    class PartlyReadable(Store):
        def versions(self, name: str) -> list[int]:
            if name == "hidden":
                raise PermissionError(13, "Permission denied", str(self.root / name))
            return super().versions(name)

    (store.root / "hidden").mkdir()
    repository = load(PartlyReadable(store.root))
    assert repository.next_letter(None).bundle.manifest.name == "next-letter"
    with pytest.raises(ModelRefusedError, match="^hidden is refused: "):
        repository.check_ready()


def test_an_unknown_name_is_not_found(store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model 'next-lettre'; there are: next-letter"):
        load(store).find("next-lettre")


def test_a_task_without_its_default_model_says_so(store: Store) -> None:
    repository = load(store)
    with pytest.raises(ModelNotFoundError, match="there is no model 'sentiment'; there are: next-letter"):
        repository.sentiment(None)


def test_loading_is_logged_with_name_and_version(store: Store, log: Log) -> None:
    load(store)
    line = log.wait_for(message="loaded")
    assert (line["model"], line["version"]) == ("next-letter", 1)
