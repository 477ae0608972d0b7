from collections import Counter

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.reviews import ReviewPreprocessing
from bundle.store import Bundle, Store
from tests.training.commands.command import ROOT
from tests.training.films import find_settings
from training.errors import RecipeError
from training.evaluation.calibration import to_logits
from training.labelled.first_network import FirstNetwork, find_sides, have_same_meaning
from training.networks import builders


@pytest.fixture(scope="module")
def bundle(small_store: Store) -> Bundle:
    return small_store.open("sentiment")


@pytest.fixture(scope="module")
def first(bundle: Bundle) -> FirstNetwork:
    return FirstNetwork(bundle)


def build(first: FirstNetwork, added: Counter[str], labels: tuple[str, ...]) -> tuple[keras.Model, list[str]]:
    """Return a network that begins with the first one, and its words."""
    settings = find_settings("length=40")
    codec = first.extend(added, 3, 2, 40)
    size = codec.preprocessing.vocabulary_size
    network_settings = settings.make_network(settings.transfer, size, first.embedding, first.units)
    network = builders.build_review_network(network_settings, codec.preprocessing, True, labels)
    first.give_weights(network, codec, labels)
    return network, [*codec.vocabulary]


def answer(network: keras.Model, first: FirstNetwork, text: str) -> NDArray[np.float32]:
    answers: NDArray[np.float32] = network.predict(first.codec.encode(text).ids[np.newaxis], verbose=0)[0]
    return answers


def test_frequent_words_that_it_lacks_are_added_behind_its_words(first: FirstNetwork) -> None:
    known = first.codec.vocabulary[5]
    counts = Counter({"zebra": 9, known: 8, "yak": 5, "gnu": 4, "ibex": 3, "okapi": 1})
    codec = first.extend(counts, 3, 2, 40)
    assert codec.vocabulary == (*first.codec.vocabulary, "zebra", "yak", "gnu")
    assert isinstance(codec.preprocessing, ReviewPreprocessing)
    assert codec.find_id(known) == first.codec.find_id(known)


def test_a_network_of_the_same_labels_begins_with_its_answers(first: FirstNetwork) -> None:
    network, words = build(first, Counter({"zebra": 9}), ("neg", "pos"))
    text = "A wonderful film."
    assert answer(network, first, text) == pytest.approx(first.answer([text])[0], abs=0.01)
    vectors = keras.ops.convert_to_numpy(builders.find_embedding(network).weights[0])
    assert vectors[-1].tolist() == vectors[first.codec.find_id("zebra")].tolist() and words[-1] == "zebra"


def test_of_three_labels_negative_and_positive_begin_with_its_verdict(first: FirstNetwork) -> None:
    network, _ = build(first, Counter(), ("mixed", "negative", "positive"))
    for text in ("A wonderful film.", "An awful film."):
        _, negative, positive = answer(network, first, text)
        assert positive / (negative + positive) == pytest.approx(first.answer([text])[0, 0], abs=0.01)


def test_a_network_of_other_labels_begins_with_a_new_last_layer(first: FirstNetwork) -> None:
    networks = [build(first, Counter(), labels)[0] for labels in (("ham", "spam"), ("negative", "positive"))]
    lasts = [network.layers[-1].get_weights()[0] for network in networks]
    assert not np.allclose(*lasts)


@pytest.mark.parametrize("name", ["next-letter", "imdb-500"])
def test_another_network_is_refused(small_store: Store, name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name}/1 is no bundle of the recipes sentiment or reviews"):
        FirstNetwork(small_store.open(name))


def test_a_sharpness_but_for_the_length_is_a_part_of_the_last_layer() -> None:
    bundle = Store(ROOT / "models").open("sentiment")
    (always, short), shift = keras.saving.load_model(bundle.model_path).layers[-1].get_weights()
    first = FirstNetwork(bundle)
    network, _ = build(first, Counter(), ("negative", "positive"))
    for text in ("A wonderful film.", "A film that is not really good, but has some moments."):
        steps = len(first.codec.encode(text).ids)
        found, published = (to_logits(each)[0] for each in (answer(network, first, text), first.answer([text])[0]))
        assert published - shift[0] == pytest.approx((found - shift[0]) * (1 + short[0] / always[0] / steps), abs=0.1)


def test_labels_have_sides() -> None:
    assert find_sides(("neutral", "Positive", "NEG")) == [2, 1]
    assert find_sides(("ham", "spam")) == find_sides(("negative", "neutral")) == []
    assert have_same_meaning(("a", "b"), ("a", "b")) and have_same_meaning(("neg", "pos"), ("Negative", "positive"))
    assert not have_same_meaning(("a", "b"), ("b", "a"))
    assert not have_same_meaning(("negative", "neutral", "positive"), ("negative", "positive"))
