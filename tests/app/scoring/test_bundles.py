"""The bundle for a file is the one that the service answers with."""

from pathlib import Path

import pytest

from app.errors import ModelNotFoundError, PolicyError, RequestError
from app.runtime.repository import Repository
from app.scoring.bundles import find_bundle
from app.settings import Settings
from bundle.errors import BundleError, BundleNotFoundError, ChecksumError
from bundle.store import Store
from tests.app.scoring.conftest import MODELS, NAME
from tests.bundle.samples import publish_changed

REVIEWS, LETTERS = Store(MODELS).open(NAME), Store(MODELS).open("next-letter")


def check_as_the_service(settings: Settings) -> None:
    """Check that files and requests without a model are answered by the same version."""
    repository = Repository(Store(settings.models), settings)
    repository.load()
    try:
        served = repository.find(repository.find_default("sentiment")).manifest
    except RequestError:
        with pytest.raises((BundleError, RequestError)):
            find_bundle(settings, None, None)
    else:
        assert find_bundle(settings, None, None).manifest == served
    finally:
        repository.close()


def test_the_version_is_the_one_that_answers_by_default(tmp_path: Path) -> None:
    store, settings = Store(tmp_path), Settings(models=tmp_path)
    first = publish_changed(store, REVIEWS, name="reviews")
    second = publish_changed(store, first)
    check_as_the_service(settings)
    assert find_bundle(settings, None, None).manifest.version == 2
    (tmp_path / "reviews" / "policy.json").write_text('{"labels": {"old": 1, "stable": 1}}')
    check_as_the_service(settings)
    for version, expected in ((None, 1), (2, 2), ("old", 1)):
        assert find_bundle(settings, "reviews", version).manifest.version == expected
    with pytest.raises(PolicyError, match="there is no label 'new' of reviews; labels: old, stable"):
        find_bundle(settings, "reviews", "new")
    (tmp_path / "reviews" / "policy.json").unlink()
    (second.folder / "model.onnx").write_bytes(b"other")
    check_as_the_service(settings)
    assert find_bundle(settings, None, None).manifest.version == 1
    (first.folder / "model.onnx").write_bytes(b"other")
    check_as_the_service(settings)
    with pytest.raises(ChecksumError, match="reviews/2/model.onnx"):
        find_bundle(settings, None, None)


def test_the_model_is_the_one_that_answers_by_default(tmp_path: Path) -> None:
    store, settings = Store(tmp_path), Settings(models=tmp_path)
    with pytest.raises(BundleNotFoundError, match="there is no bundle sentiment in .*; the names are none"):
        find_bundle(settings, None, None)
    publish_changed(store, LETTERS, name="letters")
    assert find_bundle(settings, None, None).manifest.name == "letters"  # the only one
    first = publish_changed(store, REVIEWS, name="reviews")
    check_as_the_service(settings)
    assert find_bundle(settings, None, None).manifest.name == "reviews"  # the only one of its task
    publish_changed(store, first, name="films")
    check_as_the_service(settings)
    with pytest.raises(ModelNotFoundError, match="several models answer sentiment: films, reviews; name one"):
        find_bundle(settings, None, None)
    check_as_the_service(settings.model_copy(update={"default_models": {"sentiment": "reviews"}}))
    publish_changed(store, first, name="sentiment")
    check_as_the_service(settings)
    (first.folder / "manifest.json").write_text("{")
    with pytest.raises(BundleError):
        find_bundle(settings, "reviews", None)


def test_a_model_that_cannot_be_read_is_no_default(tmp_path: Path) -> None:
    store = Store(tmp_path)
    broken = publish_changed(store, LETTERS, name="letters")
    publish_changed(store, REVIEWS, name="reviews")
    (broken.folder / "manifest.json").write_text("{")
    check_as_the_service(Settings(models=tmp_path))
    (tmp_path / "reviews" / "1").rename(tmp_path / "reviews" / "v1")
    with pytest.raises(BundleNotFoundError, match="v1 is ignored, because a version is a number"):
        find_bundle(Settings(models=tmp_path), "reviews", None)
