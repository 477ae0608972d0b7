from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec
from bundle.store import Store
from tests.conftest import leftovers, write_reviews
from tests.training.test_pipeline import QUIET, SMALL, get_recipe, get_weights
from training import pipeline, recipes
from training.data import alphabet
from training.data.examples import split_randomly
from training.data.sources import Sources
from training.errors import RecipeError
from training.networks import builders
from training.pipeline import fit_recipe
from training.recipes.letters import LetterSettings


def close(first: list[NDArray[np.float32]], second: list[NDArray[np.float32]]) -> bool:
    return all(np.allclose(one, other, atol=1e-6) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["alphabet-window", "alphabet-stateful"])
def test_a_training_starts_from_the_weights_of_a_bundle(small_store: Store, tmp_path: Path, name: str) -> None:
    start = small_store.open(name)
    recipe = get_recipe(start).with_settings(["learning_rate=1e-12", "seed=8"])
    bundle = pipeline.train(recipe, name, Store(tmp_path), Sources(), QUIET, start)
    assert close(get_weights(bundle), get_weights(start))
    manifest = start.manifest
    assert bundle.manifest.recipe["start"] == {"name": name, "version": 1, "checksum": manifest.checksum}
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert f"--from models/{name}/1` makes this bundle" in card
    assert "start" not in manifest.recipe


def test_reviews_are_read_with_the_vocabulary_of_the_bundle_that_is_started_from(
    small_store: Store, tmp_path: Path
) -> None:
    start = small_store.open("imdb-500")
    assert isinstance(start.codec, ReviewCodec)
    others = write_reviews(tmp_path / "data", per_label=3)  # which have a handful of words
    changes = ["ranks=counted", "length=9", "validation_share=0", "learning_rate=1e-12", "seed=8"]
    recipe = get_recipe(start).with_settings(changes)
    bundle = pipeline.train(recipe, "imdb-500", Store(tmp_path / "models"), Sources(others), QUIET, start)
    assert isinstance(bundle.codec, ReviewCodec)
    assert bundle.codec.vocabulary == start.codec.vocabulary
    assert bundle.codec.preprocessing == start.codec.preprocessing.model_copy(update={"length": 9})
    assert close(get_weights(bundle), get_weights(start))


@pytest.mark.parametrize(
    ("start", "name", "changes", "message"),
    [
        (
            "alphabet-window",
            "alphabet-window",
            [],
            r"window/1 have the shapes \[\(3, 16\), .*the weights of this recipe \[\(3, 1",
        ),
        (
            "alphabet-window",
            "alphabet-window",
            ["units=4", "further_units=[4]"],
            "set the recipe's fields to the values in the bundle",
        ),
        (
            "sentiment",
            "next-letter",
            [],
            "sentiment/1 have the shapes .* set the recipe's fields to the values in the bundle's",
        ),
        ("alphabet-window", "alphabet-window", ["first_code=1"], "alphabet-window/1 codes letters differently"),
        ("next-letter", "imdb-500", [], "next-letter/1 reads letters; start from a bundle of the task sentiment"),
        (
            "imdb-500",
            "imdb-500",
            [],
            "imdb-500/1 have the shapes .* set the recipe's fields to the values in the bundle's card",
        ),
        (
            "imdb-500",
            "imdb-500",
            ["vocabulary_size=9999"],
            "imdb-500/1 was trained with tokeniser=keras, vocabulary_size=10000; set the same values, because every id",
        ),
        (
            "imdb-500",
            "sentiment",
            [],
            "sentiment starts from its own language model; leave --from out",
        ),
    ],
)
def test_a_bundle_that_cannot_be_started_from_is_refused(
    small_store: Store, tmp_path: Path, reviews: Path, start: str, name: str, changes: list[str], message: str
) -> None:
    recipe = recipes.find(name).with_settings(changes)
    with pytest.raises(RecipeError, match=message):
        pipeline.train(recipe, name, Store(tmp_path), Sources(reviews), QUIET, small_store.open(start))
    assert leftovers(tmp_path) == []


def test_what_was_trained_letter_by_letter_answers_whole_sequences_the_same(small_store: Store) -> None:
    bundle = small_store.open("alphabet-stateful")
    settings, codec = get_recipe(bundle).settings, bundle.codec
    assert isinstance(settings, LetterSettings)
    assert isinstance(codec, LetterCodec)
    network = keras.saving.load_model(bundle.model_path)
    carrying = builders.build_stateful_letter_network(settings, codec)
    carrying.set_weights(network.get_weights())
    for prefix in alphabet.make_patterns(settings):
        whole = network(codec.pad([codec.encode(prefix.sequence)]))
        carried = carrying(codec.encode(prefix.sequence[-1]).reshape(1, 1, 1))
        np.testing.assert_allclose(carried, whole, atol=1e-5)


def test_letters_can_be_held_out() -> None:
    changes = ["length=3", "validation_share=0.25", "learning_rate=1e-12", "schedule=constant", "short_run_copies=3"]
    recipe = recipes.find("next-letter").with_settings([*SMALL, *changes, "batch_size=1000"])
    assert isinstance(recipe.settings, LetterSettings)
    trained = fit_recipe(recipe, Sources(), QUIET)
    patterns = alphabet.make_patterns(recipe.settings)
    assert len(patterns) == len(trained.test.labels) == 78
    answers = trained.network.predict(trained.test.inputs)
    losses = -np.log(answers[np.arange(78), trained.test.labels])
    kept, held_out = split_randomly(78, 0.25, recipe.settings.seed)
    assert trained.history["val_loss"] == [pytest.approx(losses[held_out].mean(), rel=1e-5)]
    assert trained.held_out is not None
    assert np.array_equal(trained.held_out.labels, trained.test.labels[np.sort(held_out)])
    copies = [3 // len(pattern.sequence) for pattern in patterns]  # 3, 1 and 1
    assert trained.history["loss"] == [pytest.approx(np.average(losses[kept], weights=np.take(copies, kept)), rel=1e-5)]
    assert trained.dataset.training_examples == np.take(copies, kept).sum()
    assert set(trained.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_letters_cannot_all_be_held_out() -> None:
    recipe = recipes.find("next-letter").with_settings([*SMALL, "length=3", "validation_share=0.999"])
    with pytest.raises(RecipeError, match="validation_share=0.999 of 78 examples leaves none"):
        fit_recipe(recipe, Sources(), QUIET)
