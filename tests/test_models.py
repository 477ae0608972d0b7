"""The committed bundles: whole, as good as they have to be, and what the README says they are."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from app.engine import Engine, load_engine
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewCodec
from bundle.store import Store, read_vocabulary
from tests.bundle.samples import random_inputs
from tests.conftest import load_network
from training import recipes
from training.alphabet import all_runs
from training.coding import KERAS_WORDS

ROOT = Path(__file__).parent.parent
STORE = Store(ROOT / "models")
MEGABYTES = 16


@cache
def engine(name: str) -> Engine:
    """Compile a model once for all tests."""
    return load_engine(STORE.open(name))


def test_there_is_a_bundle_of_either_default_model_and_all_are_of_recipes() -> None:
    assert {"next-letter", "sentiment"} <= set(STORE.names()) <= set(recipes.RECIPES)


@pytest.mark.parametrize("name", STORE.names())
def test_a_bundle_is_whole_small_and_of_its_recipe(name: str) -> None:
    bundle = STORE.open(name)
    manifest = bundle.manifest
    settings = recipes.find(name).settings
    assert manifest.recipe["name"] == name
    assert type(settings).model_validate(manifest.recipe["settings"]) == settings
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < MEGABYTES * 1024 * 1024
    assert {"README.md", "learning-curve.png"} <= manifest.files.keys()
    if manifest.task == "sentiment":
        assert {"confusion-matrix.png", "roc-curve.png", "vocabulary.txt"} <= manifest.files.keys()


def test_next_letter_answers_every_run_of_1_to_26_letters() -> None:
    bundle = STORE.open("next-letter")
    assert isinstance(bundle.codec, LetterCodec)
    runs = list(all_runs(26))
    assert len(runs) == 26 * 26
    outputs = engine("next-letter").run(bundle.codec.pad([bundle.codec.encode(run.sequence) for run in runs]))
    assert [ALPHABET[k] for k in outputs.argmax(axis=1)] == [run.target for run in runs]


def test_imdb_500_codes_words_as_keras_does() -> None:
    codec = STORE.open("imdb-500").codec
    assert isinstance(codec, ReviewCodec)
    assert list(codec.vocabulary) == read_vocabulary(KERAS_WORDS)
    review = codec.encode("This film was just brilliant: casting, location, scenery, story, direction")
    assert review.ids.tolist() == [1, 14, 22, 16, 43, 530, 973, 1622, 1385, 65, 458]


@pytest.mark.parametrize(("name", "least"), [("sentiment", 0.93), ("imdb-500", 0.85)])
def test_sentiment_was_measured_on_the_whole_test_set(name: str, least: float) -> None:
    manifest = STORE.open(name).manifest
    assert manifest.dataset.test_examples == 25_000
    assert manifest.metrics["accuracy"] >= least


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_plain_reviews_are_judged_rightly(name: str) -> None:
    bundle = STORE.open(name)
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    texts = [
        "A tender, wonderful film. One of the best I have seen, brilliantly acted and deeply moving.",
        "What a waste of time: a boring plot, awful acting and the worst dialogue. Terrible.",
    ]
    outputs = engine(name).run(codec.pad([codec.encode(text).ids for text in texts]))
    np.testing.assert_array_equal(outputs[:, 0] > 0.5, [True, False])


@pytest.mark.parametrize("name", ["sentiment", "imdb-500"])
def test_short_whole_and_cut_reviews_get_the_answers_of_keras(name: str) -> None:
    bundle = STORE.open(name)
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    words = "a film that is moving and then not so good but the acting was great".split()
    texts = [" ".join(words[k % len(words)] for k in range(count)) for count in (0, 1, 15, 200, 399, 400, 500, 900)]
    inputs = codec.pad([codec.encode(text).ids for text in texts])
    expected = load_network(bundle.model_path).predict(inputs, verbose=0)
    np.testing.assert_allclose(engine(name).run(inputs), expected, atol=1e-6)


@pytest.mark.parametrize("name", STORE.names())
def test_texts_of_all_lengths_get_the_answers_of_keras_whatever_is_beside_them(name: str) -> None:
    bundle = STORE.open(name)
    network = load_network(bundle.model_path)
    length = bundle.manifest.preprocessing.length
    random = np.random.default_rng(0)
    for rows in (2, 3, 4, 5, 8, 8, 8, 8):
        inputs = random_inputs(bundle, [1, length, *random.integers(1, length + 1, rows - 2)], seed=rows)
        together, alone = (
            engine(name).run(inputs),
            np.concatenate([engine(name).run(inputs[[row]]) for row in range(rows)]),
        )
        np.testing.assert_allclose(together, alone, atol=1e-6)
        np.testing.assert_allclose(together, network.predict(inputs, verbose=0), atol=1e-5)


def test_the_readme_gives_the_figures_of_the_bundles() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in STORE.names():
        (row,) = (line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        assert f" {STORE.open(name).manifest.metrics['accuracy']:.2%} ".replace("%", " %") in row
