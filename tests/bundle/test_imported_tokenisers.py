"""Every tokeniser of imported networks against the code of Keras and TensorFlow that it stands for."""

from functools import cache
from typing import get_args

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from keras.src.legacy.preprocessing.text import text_to_word_sequence
from pydantic import ValidationError

from bundle.imported_tokenisers import FilterTokeniser, Standardisation, VectorizationTokeniser, WhitespaceTokeniser
from bundle.tokenisers import KERAS_FILTERS

PIECES = (
    "Don't",
    "É",
    "İ",
    "ß",
    "ΑΣ",
    "\x1c",
    "\x1f",
    "\x85",
    "\xa0",
    "\u2003",
    "\u2028",
    "\x0b",
    "\x0c",
    "\r\n",
    "\t",
    "  ",
    "\0",
    "’",
    "!?",
    "[UNK]",
    "_^`",
    "\\]",
    "-",
    "a",
    "Z",
    "😀",
    "e\u0301",
)
WHOLE = st.characters(exclude_categories=["Cs"])  # TensorFlow has no lone surrogates
TEXTS = st.one_of(st.text(WHOLE, max_size=20), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


@given(
    text=st.one_of(TEXTS, st.text(st.characters(), max_size=10)),
    lower=st.booleans(),
    filters=st.one_of(st.just(KERAS_FILTERS), st.text("!\t\n aA'É", max_size=4)),
    separator=st.sampled_from([" ", ",", "a", "--", "\n"]),
)
@settings(max_examples=400, deadline=None)
def test_filtered_words_are_those_of_keras(text: str, lower: bool, filters: str, separator: str) -> None:
    tokeniser = FilterTokeniser(lower=lower, filters=filters, separator=separator)
    assert tokeniser.split(text) == text_to_word_sequence(text, filters, lower, separator)


def test_words_need_a_separator() -> None:
    with pytest.raises(ValidationError, match="separator"):
        FilterTokeniser(lower=True, filters="", separator="")


@cache
def make_layer(standardise: Standardisation) -> layers.TextVectorization:
    name = {"lower-strip-punctuation": "lower_and_strip_punctuation", "none": None}.get(
        standardise, standardise.replace("-", "_")
    )
    return layers.TextVectorization(standardize=name, vocabulary=["dont", "Don't", "don't", "a", "Z", "z", "é", "É"])


@pytest.mark.parametrize("standardise", get_args(Standardisation))
@given(texts=st.lists(TEXTS, min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_vectorized_words_are_those_of_the_layer(standardise: Standardisation, texts: list[str]) -> None:
    layer, tokeniser = make_layer(standardise), VectorizationTokeniser(standardise=standardise)
    ids = {word: number for number, word in enumerate(layer.get_vocabulary())}
    expected = layer(tf.constant(texts)).numpy()
    for text, row in zip(texts, expected, strict=True):
        found = [ids.get(word, 1) for word in tokeniser.split(text)]
        assert found == row.tolist()[: len(found)]
        assert not any(row[len(found) :])


def test_lone_surrogates_stay_in_words() -> None:
    assert VectorizationTokeniser().split("A\ud800 b") == ["a\ud800", "b"]


@pytest.mark.parametrize(("lower", "words"), [(True, ["a", "b’s", "c"]), (False, ["A", "B’s", "c"])])
def test_words_stand_between_white_space_of_any_kind(lower: bool, words: list[str]) -> None:
    assert WhitespaceTokeniser(lower=lower).split(" A\u2003B’s\x85c\n") == words
