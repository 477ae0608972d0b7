import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bundle.readable import CLASSES
from bundle.store import Bundle, Store
from tests.training.general.conftest import SMALL_GENERAL
from training import pipeline, recipes
from training.data import pairs, phrases, treebank
from training.data.sources import Sources
from training.distillation.stage_folders import read_figures
from training.errors import DataError, RecipeError, TrainingError
from training.general.stages import GeneralStages
from training.recipes.general import GeneralSettings
from training.recipes.recipe import Recipe

QUIET = Console(quiet=True)
SMALL = [*SMALL_GENERAL, "vocabulary_size=70", "embedding=4", "units=4"]


@pytest.fixture
def recipe() -> Recipe:
    return recipes.find("sentiment-general").with_settings(SMALL)


def make_stages(recipe: Recipe, store: Store, sources: Sources, folder: Path) -> GeneralStages:
    assert isinstance(recipe.settings, GeneralSettings)
    return GeneralStages(recipe.settings, store.open("sentiment"), sources, folder, QUIET)


@pytest.fixture(scope="module")
def sources(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The usual sources, and two short texts of the user's own."""
    own = tmp_path_factory.mktemp("own") / "own.tsv"
    own.write_text("quite decent\t3\nquite bad\t0.1\n")
    return replace(sources, own_phrases=(own,))


@pytest.fixture(scope="module")
def trained(small_store: Store, sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    """The bundle that is published after all stages, and their folder."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("trained")
    start = small_store.open("sentiment")
    recipe = recipes.find("sentiment-general").with_settings(SMALL)
    bundle = pipeline.train(recipe, "sentiment", Store(folder / "models"), sources, QUIET, start, folder / "runs")
    return bundle, folder / "runs"


def test_it_trains_from_a_bundle_and_publishes_another_one(
    recipe: Recipe, small_store: Store, sources: Sources, trained: tuple[Bundle, Path]
) -> None:
    bundle, runs = trained
    start = small_store.open("sentiment")
    assert bundle.manifest.recipe["start"] == start.manifest.model_dump(include={"name", "version", "checksum"})
    assert sources.phrases
    hashes = {
        "phrases": treebank.load(sources.phrases).sha256,
        "pairs": pairs.hash_files(sources.pairs),
        "own_phrases": phrases.load(sources.own_phrases).sha256,
    }
    assert bundle.manifest.recipe["learnt_from"] == hashes
    stages = make_stages(recipe, small_store, sources, runs)
    assert set(CLASSES) < set(stages.reviews().codec.vocabulary)
    assert {"treebank", "pairs", "pairs, both of a pair"} < read_figures(stages.transformer()).keys()
    assert {"treebank", "pairs", "held_out_accuracy"} < read_figures(stages.network()).keys()
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert "It started from sentiment version 1" in card
    assert "| transformer |" in card
    assert "from 2 short texts of the user's own" in " ".join(card.split())
    assert "--phrases trainDevTestTrees_PTB.zip --phrases FILE" in card
    assert "The logits are multiplied by" in card


def test_other_settings_of_the_network_train_it_alone_and_words_begin_with_the_vectors_of_the_first_one(
    recipe: Recipe, small_store: Store, sources: Sources, trained: tuple[Bundle, Path]
) -> None:
    _, runs = trained
    barely = recipe.with_settings(["network.learning_rate=1e-9", "network.averaging=0"])
    first, other = (make_stages(each, small_store, sources, runs) for each in (recipe, barely))
    assert first.transformer() == other.transformer()
    assert first.network() != other.network()
    figures = read_figures(other.coded())
    assert read_figures(other.network())["held_out_loss"] == pytest.approx(figures["held_out_loss"], abs=0.02)
    assert small_store.open("sentiment").codec.find_id("wonderful") > 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "missing", "message"),
    [
        ("units=5", {}, "the weights in .* have the shapes"),
        ("embedding=5", {}, "the weights in .* have the shapes .* set embedding and units"),
        ("seed=8", {"phrases": None}, "needs --phrases"),
        ("seed=8", {"transformer": None}, "needs .* --transformer"),
        ("seed=8", {"own_phrases": (Path("none.tsv"),)}, r"none\.tsv cannot be read"),
    ],
)
def test_what_it_cannot_start_from_is_told_before_any_work(
    recipe: Recipe,
    small_store: Store,
    sources: Sources,
    tmp_path: Path,
    change: str,
    missing: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(TrainingError, match=message):
        make_stages(recipe.with_settings([change]), small_store, replace(sources, **missing), tmp_path)
    assert not list(tmp_path.iterdir())


def test_pairs_without_a_part_are_told_before_any_work(
    recipe: Recipe, small_store: Store, sources: Sources, tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    shutil.copy(sources.pairs / "author-01.jsonl", folder)
    with pytest.raises(DataError, match="has no texts of the part 'development'"):
        make_stages(recipe, small_store, replace(sources, pairs=folder), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_it_needs_a_bundle_of_other_words(recipe: Recipe, small_store: Store, sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="name it with --from"):
        pipeline.train(recipe, "sentiment", Store(tmp_path), sources, QUIET)
    assert isinstance(recipe.settings, GeneralSettings)
    with pytest.raises(RecipeError, match="has other words; start from a bundle of the recipe sentiment"):
        GeneralStages(recipe.settings, small_store.open("imdb-500"), sources, tmp_path, QUIET)
    assert np.isfinite(recipe.settings.label_weight)
