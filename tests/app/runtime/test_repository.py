import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest

from app.errors import ModelNotFoundError, ModelRefusedError, NotReadyError
from app.runtime.changes import Changes
from app.runtime.repository import Repository
from app.settings import Settings
from bundle.store import Bundle, Store
from bundle.tasks import NEXT_LETTER, SENTIMENT
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


def publish_alone(store: Store, bundle: Bundle, files: Mapping[str, bytes]) -> None:
    """Publish a changed bundle as the next version of its name, and remove the earlier ones."""
    version = publish_changed(store, bundle, files).manifest.version
    for number in store.versions(bundle.manifest.name)[:-1]:
        shutil.rmtree(store.root / bundle.manifest.name / str(number))
    assert store.versions(bundle.manifest.name) == [version]


def refuse(repository: Repository, name: str) -> str:
    """Return why a model is refused, as clients see it."""
    with pytest.raises(ModelRefusedError) as refusal:
        repository.find(name)
    why = repository.models[name].why_none
    assert why and refusal.value.detail == f"{name} is refused: {why}"
    return why


def test_the_latest_version_answers(store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    assert load(store).find_for(NEXT_LETTER, None).manifest.version == 2


def test_a_repository_that_has_loaded_nothing_has_nothing(store: Store) -> None:
    repository = Repository(store, Settings())
    assert not repository.models
    assert not repository.is_ready()
    with pytest.raises(ModelNotFoundError, match="there is no model 'next-letter'; there are: none"):
        repository.find("next-letter")


def test_it_is_ready_when_the_default_models_answer(store: Store, small_store: Store) -> None:
    publish_changed(store, small_store.open("imdb-500"), {"model.onnx": b"not a network"})
    repository = load(store)
    assert repository.is_ready()
    repository.check_ready()


def test_it_is_not_ready_without_a_default_model_that_is_there(store: Store) -> None:
    publish_alone(store, store.open("next-letter"), {"model.onnx": b"not a network"})
    repository = load(store)
    assert not repository.is_ready()
    with pytest.raises(ModelRefusedError, match="^next-letter is refused: "):
        repository.check_ready()


def test_without_default_models_any_is_enough(small_store: Store, empty_models: Path) -> None:
    shutil.copytree(small_store.root / "imdb-500", empty_models / "imdb-500")
    assert load(Store(empty_models)).is_ready()


def test_settings_name_the_models_that_have_to_answer(store: Store, small_store: Store) -> None:
    publish_changed(store, small_store.open("imdb-500"), {"model.onnx": b"not a network"})
    wanted = [("imdb-500",), ("next-letter", "sentiment"), ("next-letter",)]
    repositories = [load(store, Settings(ready_models=names)) for names in wanted]
    assert [repository.is_ready() for repository in repositories] == [False, False, True]
    with pytest.raises(ModelRefusedError, match="^imdb-500 is refused"):
        repositories[0].check_ready()
    with pytest.raises(NotReadyError, match="there is no model 'sentiment', which has to answer before"):
        repositories[1].check_ready()


def test_without_models_it_is_not_ready_and_the_log_says_where_it_looked(empty_models: Path, log: Log) -> None:
    repository = load(Store(empty_models))
    with pytest.raises(NotReadyError, match="^there are no models; train or mount some$"):
        repository.check_ready()
    line = log.wait_for(level="ERROR")
    assert line["message"] == f"there are no models in {empty_models}; train or mount some"


def test_a_folder_that_cannot_be_read_has_no_models_and_the_log_has_the_reason(store: Store, log: Log) -> None:
    assert not load(UnreadableStore(store.root)).is_ready()
    assert "Permission denied" in log.wait_for(level="ERROR")["message"]


@pytest.mark.parametrize("file", ["model.onnx", "model.keras"])
def test_a_network_that_no_engine_can_load_is_refused_with_the_reason_in_the_log(
    store: Store, file: str, log: Log
) -> None:
    publish_alone(store, store.open("next-letter"), {file: b"not a network"})
    repository = load(store, Settings(engine="onnx" if file == "model.onnx" else "tensorflow"))
    assert refuse(repository, "next-letter") == "its network cannot be loaded; the service's log has the reason"
    line = log.wait_for(level="ERROR", model="next-letter", folder=str(store.root / "next-letter" / "2"))
    assert line["traceback"].startswith("Traceback")


def test_a_network_of_another_task_is_refused(store: Store, small_store: Store) -> None:
    other = small_store.open("imdb-500").onnx_path("float32").read_bytes()
    publish_alone(store, store.open("next-letter"), {"model.onnx": other})
    assert "its network cannot be loaded" in refuse(load(store), "next-letter")


def test_a_network_that_does_not_fit_its_manifest_is_refused(store: Store, small_store: Store) -> None:
    other = small_store.open("alphabet-variable-length").model_path.read_bytes()
    publish_alone(store, store.open("next-letter"), {"model.keras": other})
    assert "reads rows of the shape (5, 1)" in refuse(load(store, Settings(engine="tensorflow")), "next-letter")


def test_a_network_that_answers_nan_is_refused(store: Store, tmp_path: Path) -> None:
    network = keras.saving.load_model(store.open("next-letter").model_path)
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(tmp_path / "nan.keras")
    publish_alone(store, store.open("next-letter"), {"model.keras": (tmp_path / "nan.keras").read_bytes()})
    assert "answers with NaN" in refuse(load(store, Settings(engine="tensorflow")), "next-letter")


def test_clients_do_not_see_where_files_are_on_the_server(store: Store, log: Log) -> None:
    bundle = store.open("next-letter")
    bundle.model_path.write_bytes(b"changed")
    assert refuse(load(store), "next-letter").startswith("next-letter/1/model.keras has SHA-256")
    assert str(bundle.model_path) in log.wait_for(level="ERROR")["message"]


def test_a_bundle_that_needs_what_is_not_installed_is_refused_and_the_others_are_served(
    store: Store, small_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    publish_without_onnx(store, small_store.open("imdb-500"))
    repository = load(store)
    assert repository.find("next-letter")
    assert "TensorFlow is not installed" in refuse(repository, "imdb-500")


def test_a_model_whose_folder_cannot_be_read_is_refused_and_the_others_are_served(store: Store) -> None:
    class PartlyReadable(Store):
        def versions(self, name: str) -> list[int]:
            if name == "hidden":
                raise PermissionError(13, "Permission denied", str(self.root / name))
            return super().versions(name)

    (store.root / "hidden").mkdir()
    repository = load(PartlyReadable(store.root))
    assert repository.find("next-letter")
    assert "Permission denied" in refuse(repository, "hidden")


def test_a_folder_whose_name_is_no_text_is_refused_under_a_name_that_is(store: Store) -> None:
    (store.root / "we\udcffird" / "1").mkdir(parents=True)
    assert "there is no bundle" not in refuse(load(store), "we\\udcffird")


def test_a_version_of_a_request_is_its_number_or_a_label(store: Store) -> None:
    publish_changed(store, store.open("next-letter"))
    Changes(store, Settings()).set_label("next-letter", "old", 1)
    repository = load(store)
    found = [repository.find_for(NEXT_LETTER, None, version).manifest.version for version in (None, 1, "old", 2)]
    assert found == [2, 1, 1, 2]


def test_names_that_come_and_go_are_followed(store: Store, small_store: Store) -> None:
    repository = load(store)
    shutil.copytree(small_store.root / "imdb-500", store.root / "imdb-500")
    repository.follow()
    assert "imdb-500" not in repository.models  # it may still be copied
    repository.follow()
    assert repository.find("imdb-500")
    shutil.rmtree(store.root / "imdb-500")
    repository.follow()
    assert repository.find("imdb-500")  # it may be about to be replaced
    repository.follow()
    assert [*repository.models] == ["next-letter"]


def test_a_store_that_is_gone_for_a_moment_loses_nothing(store: Store) -> None:
    repository = load(store)
    elsewhere = store.root.rename(store.root.with_name("elsewhere"))
    for _ in range(3):
        assert not repository.follow()
    assert repository.is_ready() and repository.find("next-letter")
    elsewhere.rename(store.root)
    repository.follow()
    assert repository.find("next-letter")


def test_a_default_model_that_comes_later_is_needed_once_it_has_answered(store: Store, small_store: Store) -> None:
    repository = load(store)
    (store.root / "sentiment" / "1").mkdir(parents=True)
    for _ in range(3):
        repository.follow()
        assert repository.is_ready()
    assert repository.models["sentiment"].refused
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment", dirs_exist_ok=True)
    repository.follow()
    repository.follow()
    assert repository.find("sentiment")
    (store.root / "sentiment" / "1" / "model.onnx").write_bytes(b"changed")
    (store.root / "sentiment" / "1" / "manifest.json").unlink()
    assert repository.is_ready()


def test_a_model_that_is_gone_has_no_candidate(store: Store) -> None:
    repository = load(store)
    model = repository.find("next-letter")
    assert repository.draw_candidate(model) is None
    shutil.rmtree(store.root / "next-letter")
    repository.follow()
    repository.follow()
    assert repository.draw_candidate(model) is None


def test_a_model_whose_versions_are_all_deleted_has_none(store: Store) -> None:
    (store.root / "hidden").mkdir()

    class Listing(Store):
        def names(self) -> list[str]:
            return ["hidden", "next-letter"]

    with pytest.raises(ModelNotFoundError, match="the model 'hidden' has no version; publish one"):
        load(Listing(store.root)).find("hidden")


def test_a_store_that_cannot_be_read_for_a_moment_loses_nothing_and_is_logged_once(store: Store, log: Log) -> None:
    class SometimesUnreadable(Store):
        is_readable = True

        def names(self) -> list[str]:
            if not self.is_readable:
                raise PermissionError(13, "Permission denied", str(self.root))
            return super().names()

    sometimes = SometimesUnreadable(store.root)
    repository = load(sometimes)
    sometimes.is_readable = False
    for _ in range(3):
        repository.follow()
    assert repository.is_ready()
    sometimes.is_readable = True
    publish_changed(store, store.open("next-letter"))
    repository.follow()
    repository.follow()
    log.wait_for(message="loaded", version=2)
    assert log.text.count("cannot be read") == 1


def test_a_watched_store_is_followed_until_the_repository_is_closed(store: Store, log: Log) -> None:
    repository = load(store, Settings(watch_ms=10))
    repository.watch()
    publish_changed(store, store.open("next-letter"))
    log.wait_for(message="the version that answers by default", version=2)
    assert repository.find("next-letter").manifest.version == 2
    repository.close()
    publish_changed(store, store.open("next-letter"))
    assert repository.find("next-letter").manifest.version == 2


def test_a_watched_store_is_followed_on_after_an_error_that_nobody_expected(store: Store, log: Log) -> None:
    class FailingOnce(Store):
        failures = 0

        def names(self) -> list[str]:
            self.failures += 1
            if self.failures == 2:
                raise RuntimeError("broken")
            return super().names()

    repository = load(FailingOnce(store.root), Settings(watch_ms=10))
    repository.watch()
    log.wait_for(message="the models cannot be followed")
    publish_changed(store, store.open("next-letter"))
    log.wait_for(message="loaded", version=2)
    repository.close()


def test_a_model_that_an_operator_has_unloaded_does_not_keep_the_others_from_readiness(
    store: Store, small_store: Store
) -> None:
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment")
    Changes(store, Settings()).set_loaded("sentiment", is_loaded=False)
    repository = load(store)
    assert repository.is_ready()
    with pytest.raises(ModelNotFoundError, match="the model 'sentiment' is not loaded; an operator has unloaded it"):
        repository.find("sentiment")
    Changes(store, Settings()).set_loaded("next-letter", is_loaded=False)
    assert not load(store).is_ready()


def test_an_unknown_name_is_not_found(store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model 'next-lettre'; there are: next-letter"):
        load(store).find("next-lettre")


def test_a_task_without_its_default_model_says_so(store: Store) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model 'sentiment'; there are: next-letter"):
        load(store).find_for(SENTIMENT, None)


@pytest.fixture
def renamed(store: Store, small_store: Store) -> Store:
    """The store with a model of the task sentiment that has another name."""
    publish_changed(store, small_store.open("imdb-500"), name="mine")
    return store


def test_the_only_model_of_a_task_is_its_default(renamed: Store) -> None:
    repository = load(renamed)
    model = repository.find_for(SENTIMENT, None)
    assert model.manifest.name == "mine"
    assert repository.is_default(model)
    assert repository.is_ready()


def test_several_models_have_no_default_unless_a_setting_names_one(renamed: Store, small_store: Store) -> None:
    publish_changed(renamed, small_store.open("imdb-500"), name="also-mine")
    repository = load(renamed)
    with pytest.raises(
        ModelNotFoundError,
        match="several models answer sentiment: also-mine, mine; .*LSTM_SERVE_DEFAULT_MODELS=sentiment=also-mine",
    ):
        repository.find_for(SENTIMENT, None)
    assert not repository.is_default(repository.find("mine"))
    chosen = load(renamed, Settings(default_models={"sentiment": "mine"}))
    assert chosen.find_for(SENTIMENT, None).manifest.name == "mine"
    assert chosen.find_for(SENTIMENT, "also-mine").manifest.name == "also-mine"
    assert chosen.is_default(chosen.find("next-letter"))


def test_the_default_follows_models_that_come_and_go(renamed: Store, small_store: Store) -> None:
    repository = load(renamed)

    def find_after_change() -> str:
        for _ in range(3):  # looks at the folder
            repository.follow()
        return repository.find_for(SENTIMENT, None).manifest.name

    publish_changed(renamed, small_store.open("imdb-500"), name="other")
    with pytest.raises(ModelNotFoundError, match="several models answer sentiment: mine, other"):
        find_after_change()
    shutil.copytree(small_store.root / "sentiment", renamed.root / "sentiment")
    assert find_after_change() == "sentiment"
    shutil.rmtree(renamed.root / "sentiment")
    shutil.rmtree(renamed.root / "mine")
    assert find_after_change() == "other"


def test_it_is_not_ready_without_a_default_model_of_the_settings(store: Store, small_store: Store) -> None:
    settings = Settings(default_models={"sentiment": "mine"})
    repository = load(store, settings)
    with pytest.raises(NotReadyError, match="there is no model 'mine', which has to answer before"):
        repository.check_ready()
    with pytest.raises(ModelNotFoundError, match="there is no model 'mine'; there are: next-letter"):
        repository.find_for(SENTIMENT, None)
    publish_changed(store, small_store.open("imdb-500"), name="mine")
    shutil.copytree(small_store.root / "sentiment", store.root / "sentiment")
    assert load(store, settings).is_ready()
    assert load(store, settings).find_for(SENTIMENT, None).manifest.name == "mine"


def test_a_model_of_another_task_is_not_found(store: Store, small_store: Store) -> None:
    shutil.copytree(small_store.root / "imdb-500", store.root / "imdb-500")
    with pytest.raises(
        ModelNotFoundError, match="'imdb-500' answers sentiment, not next-letter; models that do: next-letter"
    ):
        load(store).find_for(NEXT_LETTER, "imdb-500")


def test_loading_is_logged_with_name_and_version(store: Store, log: Log) -> None:
    load(store)
    line = log.wait_for(message="loaded")
    assert (line["model"], line["version"]) == ("next-letter", 1)
