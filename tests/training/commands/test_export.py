import shutil
from pathlib import Path

import keras
import pytest
from keras import layers

from bundle.manifest import Description, Manifest
from bundle.store import ONNX_FILES, VECTORS_FILE, Store
from tests.conftest import SMALL_RECIPES, leftovers
from tests.training.commands.command import check_error, one_line, run


@pytest.fixture
def old(small_store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of a bundle as it was published before there was ONNX, in a store of its own."""
    name = getattr(request, "param", "imdb-500")
    store = Store(tmp_path / "models")
    latest = small_store.open(name)
    with store.stage(name) as staged:
        for file in latest.manifest.files.keys() - {*ONNX_FILES.values(), VECTORS_FILE}:
            shutil.copyfile(latest.folder / file, staged / file)
        card = (staged / "README.md").read_text()
        assert "\nPublished with " in card
        (staged / "README.md").write_text(card.replace("\nPublished with ", "\nMade with "))  # as it was called then
        fields = {field: getattr(latest.manifest, field) for field in Description.model_fields} | {"onnx": None}
        return store.publish(staged, Description(**fields)).folder


@pytest.mark.parametrize("old", SMALL_RECIPES, indirect=True)
def test_a_bundle_is_published_once_more_with_its_network_as_onnx(old: Path, reviews: Path) -> None:
    result = run("export", old, "--data", reviews)
    assert result.exit_code == 0, result.output
    store = Store(old.parents[1])
    assert store.versions(old.parent.name) == [1, 2]
    before, after = store.open(old.parent.name, 1).manifest, store.open(old.parent.name, 2).manifest
    assert before.onnx is None and after.onnx is not None
    assert {form.file for form in after.onnx.forms.values()} == after.files.keys() & {*ONNX_FILES.values()}
    assert {"onnx", "onnxruntime"} <= after.frameworks.keys() and before.frameworks.items() <= after.frameworks.items()
    assert (before.recipe, before.dataset, before.preprocessing) == (after.recipe, after.dataset, after.preprocessing)
    assert before.metrics.keys() == after.metrics.keys()
    assert f"Published {old.parent / '2'}" in result.stdout
    card = (old.parent / "2" / "README.md").read_text()
    assert card.count("## As ONNX\n") == card.count("## Figures\n") == card.count("## Recipe\n") == 1
    assert "| `model.onnx` | float32 |" in card
    assert f"| accuracy | {after.metrics['accuracy']:.4f} |" in card
    assert "onnxruntime" in card.splitlines()[-1]


def test_exporting_again_changes_nothing_but_the_version(old: Path, reviews: Path) -> None:
    for version in ("1", "2"):
        assert run("export", old.parent / version, "--data", reviews).exit_code == 0
    cards = [(old.parent / version / "README.md").read_text() for version in ("2", "3")]
    measured = [card.partition("## As ONNX")[0] + card.partition("## Use and limits")[2] for card in cards]
    assert measured[0] == measured[1]
    files = [{path.name for path in (old.parent / version).iterdir()} for version in ("2", "3")]
    assert files[0] == files[1]


def test_evaluate_finds_the_figures_that_export_measured(old: Path, reviews: Path) -> None:
    assert run("export", old, "--data", reviews).exit_code == 0
    result = run("evaluate", old.parent / "2", "--data", reviews)
    assert "The figures are those of the manifest." in one_line(result.stdout)


@pytest.mark.parametrize("old", ["next-letter"], indirect=True)
def test_letters_are_not_quantised(old: Path) -> None:
    result = run("export", old, "--quantise")
    check_error(result, "cannot have 8 bits: it must read word vectors or another LSTM")
    assert Store(old.parents[1]).versions("next-letter") == [1]
    assert not [path for path in leftovers(old.parents[1]) if path.name.startswith(".staged")]


def test_a_network_that_cannot_be_exported_is_named_and_nothing_is_published(old: Path, reviews: Path) -> None:
    network = keras.saving.load_model(old / "model.keras")
    ids = keras.Input(network.input_shape[1:], dtype="int32")
    vectors = layers.Embedding(10_000, 2)(ids)
    keras.Model(ids, layers.Dense(1, "sigmoid")(layers.GRU(2, name="reader")(vectors))).save(old / "model.keras")
    store = Store(old.parents[1])
    manifest = Manifest.read(old)
    with store.stage(manifest.name) as staged:
        for file in manifest.files:
            shutil.copyfile(old / file, staged / file)
        fields = {field: getattr(manifest, field) for field in Description.model_fields}
        folder = store.publish(staged, Description(**fields)).folder
    result = run("export", folder, "--data", reviews)
    check_error(result, r"the layer 'reader' \(GRU\) cannot be exported to ONNX")
    assert store.versions(manifest.name) == [1, 2]


def test_export_refuses_a_folder_without_a_bundle(tmp_path: Path) -> None:
    check_error(run("export", tmp_path), "holds no bundle, as it has no manifest.json; name the folder of one")
