from pathlib import Path

import numpy as np
from rich.console import Console

from bundle.readable import ReadableTokeniser
from bundle.reviews import RESERVED_IDS, ReviewCodec, read_vocabulary
from bundle.store import Store
from bundle.tokenisers import KerasTokeniser, Tokeniser, TokenTokeniser, WordTokeniser
from training import recipes
from training.data import imdb, review_coding
from training.recipes.reviews import ReviewSettings

QUIET = Console(quiet=True)


def test_reviews_are_coded_with_their_labels(small_store: Store, reviews: Path) -> None:
    codec, data = small_store.open("imdb-500").codec, imdb.load(reviews)
    assert isinstance(codec, ReviewCodec)
    examples = review_coding.code_reviews(codec, data.test, "Coding", QUIET)
    assert examples.inputs.shape == (len(data.test), 48)
    assert examples.inputs.dtype == np.int32
    assert examples.labels.tolist() == [review.label for review in data.test]
    for row, review in zip(examples.inputs, data.test, strict=True):
        assert row[row > 0].tolist() == codec.encode(review.text).ids.tolist()


def test_words_are_counted_as_the_tokeniser_splits_them_and_ranked_by_frequency_and_then_by_first_sight() -> None:
    def rank(tokeniser: Tokeniser, *texts: str) -> list[str]:
        return review_coding.choose_words(tokeniser, review_coding.count_words(tokeniser, texts), 100, 0)

    assert rank(KerasTokeniser(), "b c a", "c d", "C e b") == ["c", "b", "a", "d", "e"]
    assert rank(KerasTokeniser()) == []
    assert rank(WordTokeniser(), "good! <br />good!", "!") == ["!", "good"]
    assert rank(TokenTokeniser(), "The TV, the DVD", "I saw the TV") == ["the", "TV", ",", "DVD", "i", "saw"]


def test_endings_are_those_that_most_words_without_an_id_have() -> None:
    counts = review_coding.count_words(TokenTokeniser(), ["the the the the", "oddness gladness", "cats"])
    assert review_coding.choose_words(TokenTokeniser(), counts, 4, 3) == ["the", "~s", "~ness", "~ess"]


def test_a_vocabulary_has_no_more_words_than_the_recipe() -> None:
    settings = recipes.find("imdb-500").with_settings(["ranks=counted", "vocabulary_size=6"]).settings
    assert isinstance(settings, ReviewSettings)
    codec = review_coding.learn_review_codec(settings, ["a film, a good film", "a film"], QUIET)
    assert list(codec.vocabulary) == ["a", "film"]
    settings = settings.model_copy(update={"vocabulary_size": 100})
    codec = review_coding.learn_review_codec(settings, ["a film, a good film", "a film"], QUIET)
    assert codec.preprocessing.vocabulary_size == 3 + RESERVED_IDS


def test_counted_ranks_are_those_of_what_was_trained_on(small_store: Store, reviews: Path) -> None:
    codec = small_store.open("sentiment").codec
    assert isinstance(codec, ReviewCodec)
    tokeniser = TokenTokeniser()
    assert codec.preprocessing.tokeniser == tokeniser
    data = imdb.load(reviews)
    kept, held_out = imdb.hold_out(data.train, 0.1, "last", 7)
    assert len(held_out) == 2
    counts = review_coding.count_words(tokeniser, [*(data.train[k].text for k in np.sort(kept)), *data.unlabelled])
    assert list(codec.vocabulary) == review_coding.choose_words(tokeniser, counts, 36, 8)
    assert codec.preprocessing.vocabulary_size == len(codec.vocabulary) + RESERVED_IDS


def test_keras_ranks_are_those_that_come_with_the_package(small_store: Store) -> None:
    codec = small_store.open("imdb-500").codec
    assert isinstance(codec, ReviewCodec)
    assert codec.preprocessing.tokeniser == KerasTokeniser()
    assert list(codec.vocabulary) == read_vocabulary(review_coding.KERAS_WORDS)
    assert codec.preprocessing.vocabulary_size == 10_000


def test_rare_emoji_and_mentions_count_as_their_class() -> None:
    tokeniser = ReadableTokeniser()
    counts = review_coding.count_words(tokeniser, ["fine 👍 👍 👍 ok 🎉 :)", "@anna said: @bert 🤮"])
    folded = review_coding.fold_classes(tokeniser, counts, 3)
    assert {word: folded[word] for word in ("👍", "🎉", ":)", ":(", "@mention", "fine")} == {
        "👍": 3,
        "🎉": 0,
        ":)": 2,
        ":(": 1,
        "@mention": 2,
        "fine": 1,
    }
    assert folded.total() == counts.total()


def test_equal_ratings_count_as_one_word() -> None:
    texts = ["11/10 100/100 4/4 5\u2605", "\u2b50 hotel \u2605\u2606\u2606\u2606\u2606", "7.5/10 4 out of 5", "24/7"]
    counts = review_coding.count_words(ReadableTokeniser(), texts)
    assert counts == {"10/10": 4, "\u2605": 2, "hotel": 1, "8/10": 2, "24/7": 1}
