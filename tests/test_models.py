"""The committed bundles: whole, and as good as they have to be."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.engines.base import Engine
from app.engines.onnx import OnnxEngine
from app.engines.tensorflow import TensorFlowEngine
from bundle.letters import ALPHABET, LetterCodec
from bundle.manifest import Precision
from bundle.reviews import EncodedReview, ReviewCodec, read_vocabulary
from bundle.store import Store
from tests.app.engines.exactness import check_exactness, lists_of_rows
from tests.bundle.samples import random_rows
from tests.conftest import predict_with_keras
from training import recipes
from training.data.alphabet import all_runs
from training.data.review_coding import KERAS_WORDS
from training.wild.figures import PASSAGES

ROOT = Path(__file__).parent.parent
STORE = Store(ROOT / "models")
MEGABYTES = {"sentiment": 8}  # of others 16


LOST_ACCURACY = 0.001  # of held-out reviews, by a form of 8 bits
MANIFESTS = {name: STORE.open(name).manifest for name in STORE.names()}
OF_RECIPES = {name: str(manifest.recipe["name"]) for name, manifest in MANIFESTS.items()}
FORMS = [
    (name, form) for name, manifest in MANIFESTS.items() for form in (manifest.onnx.forms if manifest.onnx else ())
]
OF_SENTIMENT = [(name, form) for name, form in FORMS if MANIFESTS[name].task == "sentiment"]
# From Keras. The weights of the first are so large that of its random rows one in a thousand is further away; from the
# equations Keras is as far as 1.9e-5 then, and ONNX Runtime 1.5e-5.
TOLERANCES = {"alphabet-variable-length": 5e-5}
TOLERANCE = 1e-5


@cache
def load(name: str, precision: Precision | None = None) -> OnnxEngine:
    """Load a form of a network, by default the one that serves, once for all tests."""
    return OnnxEngine(STORE.open(name), precision)


@cache
def load_with_tensorflow(name: str) -> Engine:
    return TensorFlowEngine(STORE.open(name))


def test_there_is_a_bundle_of_either_default_model_and_all_are_of_recipes() -> None:
    assert {"next-letter", "sentiment"} <= set(STORE.names())
    assert set(OF_RECIPES.values()) <= set(recipes.RECIPES)


@pytest.mark.parametrize("name", STORE.names())
def test_a_bundle_is_whole_small_and_of_its_recipe(name: str) -> None:
    bundle = STORE.open(name)
    manifest = bundle.manifest
    settings = recipes.find(OF_RECIPES[name]).settings
    assert OF_RECIPES[name] == ("sentiment-general" if name == "sentiment" else name)
    assert type(settings).model_validate(manifest.recipe["settings"]) == settings
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < MEGABYTES.get(name, 16) * 1024 * 1024
    assert {"README.md", "learning-curve.png", "model.onnx"} <= manifest.files.keys()
    assert manifest.files.keys() == {file.name for file in bundle.folder.iterdir()} - {"manifest.json"}
    if manifest.task == "sentiment":
        assert {"confusion-matrix.png", "roc-curve.png", "vocabulary.txt"} <= manifest.files.keys()


def test_every_network_is_exported_and_of_8_bits_only_where_that_costs_nothing() -> None:
    assert {name for name, form in FORMS if form == "float32"} == set(STORE.names())
    for name, form in FORMS:
        onnx = MANIFESTS[name].onnx
        assert onnx
        if form == "int8":
            of_32_bits, of_8_bits = (onnx.forms[each].held_out["accuracy"] for each in ("float32", "int8"))
            assert of_8_bits >= of_32_bits - LOST_ACCURACY
        else:
            assert onnx.forms[form].difference <= TOLERANCE


def test_next_letter_answers_every_run_of_1_to_26_letters() -> None:
    codec = STORE.open("next-letter").codec
    assert isinstance(codec, LetterCodec)
    runs = list(all_runs(26))
    assert len(runs) == 26 * 26
    outputs = load("next-letter").run([codec.encode(run.sequence) for run in runs])
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


@pytest.mark.parametrize(("name", "form"), OF_SENTIMENT)
def test_plain_reviews_are_judged_rightly(name: str, form: Precision) -> None:
    codec = STORE.open(name).codec
    assert isinstance(codec, ReviewCodec)
    texts = [
        "A tender, wonderful film. One of the best I have seen, brilliantly acted and deeply moving.",
        "What a waste of time: a boring plot, awful acting and the worst dialogue. Terrible.",
    ]
    outputs = load(name, form).run([codec.encode(text).ids for text in texts])
    np.testing.assert_array_equal(outputs[:, 0] > 0.5, [True, False])


# What people try first.
SHORT_TEXTS = {
    "I hate it!!!": False,
    "I didn't like it.": False,
    "I hated it.": False,
    "This is not a good film.": False,
    "not bad at all": True,
    "That movie was not terrible.": True,
    "Not half bad.": True,
    "It's not the worst film I have seen.": True,
    "No flaws.": True,
    "It never gets boring.": True,
    "The first film was boring. This one is funny.": True,
    "I loved it when it ended.": False,
    "Brilliant acting, not so brilliant movie": False,
}


@pytest.mark.parametrize("form", ["float32", "int8"])
@pytest.mark.parametrize(("text", "is_positive"), SHORT_TEXTS.items())
def test_sentiment_judges_short_and_negated_texts_rightly(text: str, is_positive: bool, form: Precision) -> None:
    assert (judge([text], form)[0] > 0.5) == is_positive


@pytest.mark.parametrize(
    "text", ["", " \n", "<br />", "🙂", "★★★★★", "★★★", "★ ★ ☆", "这部电影很好看", "!!!", "<!-- wonderful -->"]
)
def test_sentiment_has_no_verdict_on_what_it_cannot_read(text: str) -> None:
    assert not read(text).is_readable


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Ｗｏｎｄｅｒｆｕｌ ｆｉｌｍ", "Wonderful film"),
        ("A won­der­ful film", "A wonderful film"),
        ("It isnʼt good", "It isn't good"),
        ("It isn&#39;t good", "It isn't good"),
        ("It isn’t good", "It isn't good"),
        ("a<b awful film never again b>a", "a b awful film never again b a"),
        ("<!-- wonderful --> awful film", "awful film"),
        ("Goooood", "Good"),
    ],
)
def test_sentiment_reads_what_a_reader_sees(written: str, plain: str) -> None:
    np.testing.assert_array_equal(read(written).ids, read(plain).ids)


def test_a_story_behind_a_review_leaves_the_verdict() -> None:
    reviews = [
        "I had to stop halfway. The actors read their lines as if for the first time, the jokes are old, the camera "
        "shakes for no reason. My friends fell asleep. A dull, lazy film, and I want my money back.",
        "I went in tired and came out happy. The two leads are wonderful together, the jokes come at the right moment, "
        "and the last scene made me cry. A warm, clever film that I will watch again.",
    ]
    passages = PASSAGES.read_text("utf-8").splitlines()
    for number in range(0, 90, 3):
        story = " ".join(" ".join(passages[number : number + 4]).split()[:300])
        np.testing.assert_array_equal(judge([f"{review} {story}" for review in reviews]) > 0.5, [False, True])


def read(text: str) -> EncodedReview:
    codec = STORE.open("sentiment").codec
    assert isinstance(codec, ReviewCodec)
    return codec.encode(text)


def judge(texts: Sequence[str], form: Precision | None = None) -> NDArray[np.float32]:
    return load("sentiment", form).run([read(text).ids for text in texts])[:, 0]


@pytest.mark.parametrize(("name", "form"), OF_SENTIMENT)
def test_short_whole_and_cut_reviews_get_the_answers_of_keras(name: str, form: Precision) -> None:
    bundle = STORE.open(name)
    codec = bundle.codec
    assert isinstance(codec, ReviewCodec)
    words = "a film that is moving and then not so good but the acting was great".split()
    texts = [" ".join(words[k % len(words)] for k in range(count)) for count in (0, 1, 15, 200, 399, 400, 500, 900)]
    rows = [codec.encode(text).ids for text in texts]
    most = 0.05 if form == "int8" else 1e-6
    np.testing.assert_allclose(load(name, form).run(rows), predict_with_keras(bundle, rows), rtol=0, atol=most)


@pytest.mark.parametrize("name", STORE.names())
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_rows_of_any_lengths_get_the_answers_of_keras(name: str, data: st.DataObject) -> None:
    bundle = STORE.open(name)
    rows = data.draw(lists_of_rows(bundle))
    answers, expected = load(name, "float32").run(rows), predict_with_keras(bundle, rows)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=TOLERANCES.get(name, TOLERANCE))


@pytest.mark.parametrize(("name", "form"), FORMS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_row_has_the_same_answer_to_the_bit_in_every_batch(name: str, form: Precision, data: st.DataObject) -> None:
    check_exactness(load(name, form), data.draw(lists_of_rows(STORE.open(name))), data)


@pytest.mark.parametrize("name", STORE.names())
@settings(deadline=None, max_examples=5)
@given(data=st.data())
def test_a_row_has_the_same_answer_to_the_bit_in_every_batch_of_tensorflow(name: str, data: st.DataObject) -> None:
    check_exactness(load_with_tensorflow(name), data.draw(lists_of_rows(STORE.open(name))), data)


@pytest.mark.parametrize("name", STORE.names())
def test_tensorflow_gives_the_answers_of_onnx_runtime(name: str) -> None:
    bundle = STORE.open(name)
    length = bundle.codec.length
    rows = random_rows(bundle, [1, 2, length // 3, length - 1, length])
    answers, expected = load_with_tensorflow(name).run(rows), load(name, "float32").run(rows)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=TOLERANCES.get(name, TOLERANCE))
