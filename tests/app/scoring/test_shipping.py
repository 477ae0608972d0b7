import dataclasses
import pickle
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from app import __version__
from app.errors import ScoringError
from app.scoring.shipping import ShippedBundle, fetch_models
from app.settings import Settings
from bundle.errors import ChecksumError
from bundle.store import Store
from tests.app.scoring.conftest import MODELS, NAME, MakeScorer, make_texts


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
    assert shipped.settings.keys is None and shipped.release == __version__


def test_a_file_that_changed_on_its_way_is_refused(shipped: ShippedBundle) -> None:
    name = next(name for name in shipped.files if name.endswith(".onnx"))
    files = {**shipped.files, name: shipped.files[name][:-1] + b"?"}
    with pytest.raises(ChecksumError, match=f"{name} has SHA-256 .*, its manifest says"):
        dataclasses.replace(shipped, files=files).load()


def test_another_bundle_of_the_same_version_is_refused(shipped: ShippedBundle) -> None:
    with pytest.raises(ScoringError, match="a node got imdb-500 version .* 0000 was expected"):
        dataclasses.replace(shipped, checksum="0000").load()


def test_another_release_is_refused(shipped: ShippedBundle) -> None:
    with pytest.raises(
        ScoringError, match="a node has release .*, and the job was started with 0.0.0; install the same"
    ):
        dataclasses.replace(shipped, release="0.0.0").load()


def test_a_folder_of_bundles_is_used_where_it_is() -> None:
    with fetch_models(str(MODELS), None) as folder:
        assert folder == MODELS


@pytest.mark.parametrize("name", [None, NAME])
def test_bundles_of_an_address_are_copied(name: str | None) -> None:
    with fetch_models(f"file://{MODELS}", name) as folder:
        assert Store(folder).names() == (Store(MODELS).names() if name is None else [NAME])
        assert Store(folder).open(NAME).manifest == Store(MODELS).open(NAME).manifest
    assert not Path(folder).exists()
