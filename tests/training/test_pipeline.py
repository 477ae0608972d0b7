import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import sklearn
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.letters import ALPHABET
from bundle.reviews import ReviewCodec
from bundle.store import Bundle, Store, open_bundle
from tests.conftest import SMALL_RECIPES, leftovers
from training import pipeline, recipes
from training.bundle_data import read_settings
from training.data import alphabet, imdb
from training.data.examples import split_randomly
from training.data.sources import Sources
from training.errors import DataError, DivergedError, RecipeError
from training.recipes import RECIPES
from training.recipes.letters import LetterSettings
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.staged import StagedSettings
from training.reports.results import HELD_OUT

QUIET = Console(quiet=True)
MODELS = Path(__file__).parents[2] / "models"
EVERY_NAME = pytest.mark.parametrize("name", SMALL_RECIPES)
LETTER_NAMES = [name for name in SMALL_RECIPES if RECIPES[name].task == "next-letter"]
REVIEW_NAMES = ["sentiment", "imdb-500"]
SMALL = ["units=2", "features=0", "length=2", "epochs=1", "short_run_copies=1", "batch_size=26", "steps_per_call=1"]


def get_recipe(bundle: Bundle) -> Recipe:
    """Return the recipe that a bundle was made with, as its manifest has it."""
    recipe = recipes.find(str(bundle.manifest.recipe["name"]))
    return replace(recipe, settings=type(recipe.settings).model_validate(bundle.manifest.recipe["settings"]))


def get_weights(bundle: Bundle) -> list[NDArray[np.float32]]:
    weights: list[NDArray[np.float32]] = keras.saving.load_model(bundle.model_path).get_weights()
    return weights


def same(first: list[NDArray[np.float32]], second: list[NDArray[np.float32]]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@EVERY_NAME
def test_a_bundle_holds_all_that_belongs_to_it(small_store: Store, name: str) -> None:
    expected = {"model.keras", "model.onnx", "manifest.json", "README.md", "learning-curve.png"}
    if name in REVIEW_NAMES:
        expected |= {
            "vocabulary.txt",
            "word-vectors.bin",
            "confusion-matrix.png",
            "roc-curve.png",
            "reference.json",
            "wild.json",
            "wild.png",
        }
    if name == "sentiment" and "int8" in getattr(small_store.open(name).manifest.onnx, "forms", {}):
        expected.add("model.int8.onnx")
    bundle = small_store.open(name)
    assert {path.name for path in bundle.folder.iterdir()} == expected
    assert set(bundle.manifest.files) == expected - {"manifest.json"}
    assert [path.name for path in bundle.folder.parent.iterdir()] == ["1"]


@EVERY_NAME
def test_the_manifest_says_how_the_bundle_was_made(small_store: Store, name: str) -> None:
    manifest = small_store.open(name).manifest
    assert manifest.name == manifest.recipe["name"] == name
    assert manifest.task == RECIPES[name].task
    assert manifest.recipe["settings"] == get_recipe(small_store.open(name)).settings.model_dump(mode="json")
    assert manifest.frameworks["tensorflow"] == tf.__version__
    assert manifest.frameworks["keras"] == keras.__version__
    assert manifest.frameworks["numpy"] == np.__version__
    assert manifest.frameworks["scikit-learn"] == sklearn.__version__
    assert manifest.frameworks["onnx"] == onnx.__version__
    assert manifest.frameworks["onnxruntime"] == onnxruntime.__version__
    assert manifest.frameworks["python"].startswith("3.")
    held_out = {HELD_OUT} if get_recipe(small_store.open(name)).settings.validation_share else set()
    assert (
        set(manifest.metrics)
        == {"accuracy", "loss"} | ({"auc", "calibration_error"} if name in REVIEW_NAMES else set()) | held_out
    )
    assert 0 <= manifest.metrics["accuracy"] <= 1


@pytest.mark.parametrize("name", LETTER_NAMES)
def test_a_letter_bundle_is_described_by_its_patterns(small_store: Store, name: str) -> None:
    manifest = small_store.open(name).manifest
    settings = get_recipe(small_store.open(name)).settings
    assert isinstance(settings, LetterSettings)
    patterns = alphabet.make_patterns(settings)
    kept, _ = split_randomly(len(patterns), settings.validation_share, settings.seed)
    copies = alphabet.copy_short_runs([patterns[index] for index in kept], settings.short_run_copies)
    assert manifest.dataset.sha256 == alphabet.hash_patterns(patterns)
    assert (manifest.dataset.training_examples, manifest.dataset.test_examples) == (len(copies), len(patterns))
    assert manifest.dataset.name == f"alphabet patterns ({settings.patterns})"
    assert "".join(manifest.labels) == ALPHABET
    expected = {"length": settings.length, "first_code": settings.first_code}
    assert manifest.preprocessing.model_dump(include={"length", "first_code"}) == expected


@pytest.mark.parametrize("name", REVIEW_NAMES)
def test_a_review_bundle_is_described_by_its_dataset(small_store: Store, reviews: Path, name: str) -> None:
    manifest = small_store.open(name).manifest
    settings = get_recipe(small_store.open(name)).settings
    assert isinstance(settings, ReviewSettings | StagedSettings)
    data = imdb.load(reviews)
    kept, _ = imdb.hold_out(data.train, settings.validation_share, "random", settings.seed)
    unlabelled = len(data.unlabelled) if isinstance(settings, StagedSettings) else 0
    assert manifest.dataset.sha256 == data.sha256
    assert manifest.dataset.training_examples == len(kept) + unlabelled
    assert manifest.dataset.test_examples == 24
    assert manifest.dataset.name == "aclImdb"  # its reviews are not those of the published dataset
    assert manifest.labels == ("negative", "positive")
    assert manifest.preprocessing.length == settings.length


@pytest.mark.parametrize("folder", sorted(MODELS.glob("*/*")), ids=lambda folder: folder.parent.name)
def test_the_settings_of_the_bundles_of_this_repository_are_read(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert read_settings(bundle).model_dump()["length"] == bundle.manifest.preprocessing.length


@EVERY_NAME
def test_the_network_is_saved_without_its_optimiser(small_store: Store, name: str) -> None:
    path = small_store.open(name).model_path
    assert not keras.saving.load_model(path).compiled
    with zipfile.ZipFile(path) as parts:
        assert b"optimizer" not in parts.read("model.weights.h5")


@EVERY_NAME
def test_evaluation_gives_the_figures_of_the_manifest(small_store: Store, reviews: Path, name: str) -> None:
    bundle = small_store.open(name)
    evaluation, sha256 = pipeline.evaluate_bundle(bundle, reviews, QUIET)
    metrics = {name: value for name, value in bundle.manifest.metrics.items() if name != HELD_OUT}
    assert evaluation.metrics == pytest.approx(metrics, abs=5e-5)
    assert len(evaluation.labels) == bundle.manifest.dataset.test_examples
    assert sha256 == bundle.manifest.dataset.sha256


@pytest.mark.parametrize("name", ["alphabet-variable-length", "sentiment"])
def test_the_recipe_in_the_manifest_makes_the_same_weights_again(
    small_store: Store, reviews: Path, tmp_path: Path, name: str
) -> None:
    bundle = small_store.open(name)
    again = pipeline.train(get_recipe(bundle), name, Store(tmp_path), Sources(reviews), QUIET, runs=tmp_path / "runs")
    assert same(get_weights(again), get_weights(bundle))
    assert again.manifest.metrics == bundle.manifest.metrics


def test_a_recorded_run_has_the_figures_of_the_bundle_of_its_recipe(small_store: Store) -> None:
    bundle = small_store.open("alphabet-window")
    run = pipeline.record(get_recipe(bundle), None, QUIET)
    assert (run.recipe, run.settings) == ("alphabet-window", bundle.manifest.recipe["settings"])
    assert run.metrics == pytest.approx(bundle.manifest.metrics, abs=1e-5)
    assert run.parameters == 4 * (4 * (4 + 3) + 4) + 5 * 26
    assert run.dataset == bundle.manifest.dataset.sha256
    assert run.frameworks.items() <= bundle.manifest.frameworks.items()
    assert {name: len(values) for name, values in run.curve.items()} == {"loss": 1, "accuracy": 1}


def test_another_seed_makes_other_weights(small_store: Store, tmp_path: Path) -> None:
    bundle = small_store.open("alphabet-variable-length")
    recipe = get_recipe(bundle).with_settings(["seed=8"])
    other = pipeline.train(recipe, recipe.name, Store(tmp_path), Sources(), QUIET)
    assert not same(get_weights(other), get_weights(bundle))
    assert other.manifest.dataset.sha256 != bundle.manifest.dataset.sha256


def test_a_small_vocabulary_and_nothing_held_out(tmp_path: Path, reviews: Path) -> None:
    changes = ["ranks=counted", "vocabulary_size=8", "length=4", "units=2", "embedding=2", "epochs=1"]
    recipe = recipes.find("imdb-500").with_settings([*changes, "validation_share=0"])
    bundle = pipeline.train(recipe, recipe.name, Store(tmp_path), Sources(reviews), QUIET)
    assert isinstance(bundle.codec, ReviewCodec)
    assert bundle.codec.preprocessing.vocabulary_size == 8
    assert bundle.codec.vocabulary == ("br", "a", "film", "i")
    assert keras.saving.load_model(bundle.model_path).get_weights()[0].shape == (8, 2)


def test_a_training_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        pipeline.train(
            recipes.find("sentiment"), "sentiment", Store(tmp_path / "models"), Sources(tmp_path / "nothing"), QUIET
        )
    assert leftovers(tmp_path) == []


def test_a_bundle_can_have_another_name_than_its_recipe(tmp_path: Path) -> None:
    store = Store(tmp_path)
    recipe = recipes.find("next-letter").with_settings(SMALL)
    bundle = pipeline.train(recipe, "my-letters", store, Sources(), QUIET)
    assert store.names() == ["my-letters"]
    assert bundle == store.open("my-letters")
    assert (bundle.manifest.name, bundle.manifest.recipe["name"]) == ("my-letters", "next-letter")
    assert get_recipe(bundle) == recipe
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# my-letters\n")
    assert "python -m training evaluate models/my-letters/" in card
    evaluation, _ = pipeline.evaluate_bundle(bundle, None, QUIET)
    assert evaluation.metrics == pytest.approx(bundle.manifest.metrics, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("next-letter", [*SMALL, "epochs=3", "learning_rate=1e38"]),
        ("imdb-500", ["length=4", "units=2", "embedding=2", "epochs=2", "batch_size=4", "learning_rate=1e38"]),
    ],
)
def test_a_training_that_diverges_publishes_nothing(
    tmp_path: Path, reviews: Path, name: str, changes: list[str]
) -> None:
    recipe = recipes.find(name).with_settings(changes)
    with pytest.raises(DivergedError, match="the training diverged; try a lower learning_rate or set clip_norm"):
        pipeline.train(recipe, name, Store(tmp_path / "models"), Sources(reviews), QUIET)
    assert leftovers(tmp_path) == []


def test_stages_need_unlabelled_reviews(tmp_path: Path, reviews: Path) -> None:
    data = Path(shutil.copytree(reviews, tmp_path / "data", ignore=shutil.ignore_patterns("unsup")))
    store = Store(tmp_path / "models")
    with pytest.raises(DataError, match="has no train/unsup/"):
        pipeline.train(recipes.find("sentiment"), "sentiment", store, Sources(data), QUIET, runs=tmp_path / "runs")
    assert leftovers(store.root) == []


@pytest.mark.parametrize("recipe", [{}, {"settings": None}, {"settings": {"nodes": 3}}], ids=str)
def test_a_recipe_of_another_release_is_not_evaluated(small_store: Store, recipe: dict[str, JsonValue]) -> None:
    bundle = small_store.open("next-letter")
    other = replace(bundle, manifest=bundle.manifest.model_copy(update={"recipe": recipe}))
    with pytest.raises(
        RecipeError, match=r"next-letter/1 has a recipe of another release \([0-9]+ fields do not fit\)"
    ):
        pipeline.evaluate_bundle(other, None, QUIET)
