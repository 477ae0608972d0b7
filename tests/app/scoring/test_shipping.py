import dataclasses
import pickle
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from app.errors import PolicyError, ScoringError
from app.scoring.bundles import find_bundle
from app.scoring.shipping import CopiedStore, ShippedBundle, open_bundle
from app.settings import Settings
from bundle.errors import BundleNotFoundError, ChecksumError
from bundle.store import Store
from tables.storage import Storage
from tests.app.scoring.conftest import MODELS, NAME, MakeScorer, make_texts
from tests.bundle.samples import publish_changed


@pytest.fixture(scope="module")
def shipped() -> ShippedBundle:
    settings = Settings(keys='{"keys": []}')
    packed = ShippedBundle.pack(Store(MODELS).open(NAME), settings)
    received: ShippedBundle = pickle.loads(pickle.dumps(packed))
    assert received == packed
    return received


def test_a_shipped_bundle_answers_as_the_one_in_its_folder(shipped: ShippedBundle, make_scorer: MakeScorer) -> None:
    texts = make_texts(60)
    assert shipped.load().score(texts) == make_scorer().score(texts)


def test_no_key_is_shipped(shipped: ShippedBundle) -> None:
    assert shipped.settings.keys is None


def test_a_file_that_changed_on_its_way_is_refused(shipped: ShippedBundle) -> None:
    name = next(name for name in shipped.files if name.endswith(".onnx"))
    files = {**shipped.files, name: shipped.files[name][:-1] + b"?"}
    with pytest.raises(ChecksumError, match=f"{name} has SHA-256 .*, its manifest says"):
        dataclasses.replace(shipped, files=files).load()


def test_another_bundle_of_the_same_version_is_refused(shipped: ShippedBundle) -> None:
    with pytest.raises(ScoringError, match="a node got imdb-500 version .* 0000 was expected"):
        dataclasses.replace(shipped, checksum="0000").load()


def test_a_folder_of_bundles_is_used_where_it_is() -> None:
    with open_bundle(str(MODELS), Settings(), NAME, None) as bundle:
        assert bundle.folder.parent == MODELS / NAME


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with two models, one of them with two versions."""
    store = Store(tmp_path / "models")
    reviews = publish_changed(store, Store(MODELS).open(NAME), name="reviews")
    publish_changed(store, reviews)
    publish_changed(store, Store(MODELS).open("next-letter"), name="letters")
    return store.root


def test_of_an_address_only_the_bundle_is_copied(models: Path, tmp_path: Path) -> None:
    store = CopiedStore(tmp_path / "copy", Storage(f"file://{models}"))
    assert (store.names(), store.versions("reviews")) == (["letters", "reviews"], [1, 2])
    assert find_bundle(Settings(), "reviews", 1, store).folder == tmp_path / "copy" / "reviews" / "1"
    copied = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*.onnx"))
    assert copied == ["reviews/1/model.onnx"]
    for _ in range(2):
        assert store.open("reviews").manifest.version == 2
    assert not (tmp_path / "copy" / "letters" / "1" / "model.keras").exists()


def test_the_bundle_of_an_address_is_the_one_that_answers_by_default(models: Path) -> None:
    with open_bundle(f"file://{models}", Settings(), None, None) as bundle:
        assert (bundle.manifest.name, bundle.manifest.version) == ("reviews", 2)
    assert not bundle.folder.exists()
    (models / "reviews" / "policy.json").write_text('{"labels": {"old": 1, "stable": 1}}')
    for version in (None, "old"):
        with open_bundle(f"file://{models}", Settings(), "reviews", version) as bundle:
            assert bundle.manifest == Store(models).open("reviews", 1).manifest
    (models / "reviews" / "policy.json").unlink()
    (models / "reviews" / "2" / "model.onnx").write_bytes(b"other")
    with open_bundle(f"file://{models}", Settings(), "reviews", None) as bundle:
        assert bundle.manifest.version == 1


def test_errors_name_the_address(models: Path) -> None:
    address = f"file://{models}"
    with (
        pytest.raises(BundleNotFoundError, match=f"there is no bundle other in {address}; the names are letters, rev"),
        open_bundle(address, Settings(), "other", None),
    ):
        pass
    (models / "reviews" / "policy.json").write_text("{")
    with (
        pytest.raises(PolicyError, match=f"{address}/reviews/policy.json is not a policy"),
        open_bundle(address, Settings(), "reviews", None),
    ):
        pass
