import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training
from bundle.errors import IdsError, ManifestError
from bundle.reviews import ReviewCodec, ReviewPreprocessing, read_vocabulary
from bundle.tokenisers import KerasTokeniser, Tokeniser, TokenTokeniser, WordTokeniser

KERAS_WORDS = Path(training.__file__).parent / "data" / "keras_words.txt"
WORD_INDEX = os.environ.get("KERAS_WORD_INDEX")  # what keras.datasets.imdb.get_word_index() downloads

VOCABULARY = ("the", "film", "good", "!")

ANY_TEXT = st.text(st.characters())  # surrogates included
SNIPPETS = ("<", "</", "<3", "<br />", "<i", ">", "7/10", "!", "...", ":-)", "'", " ", "\ud800", "the", "Film")
PIECES = st.lists(st.sampled_from(SNIPPETS)).map("".join)
BRACKETS = st.integers(0, 300).map("<".__mul__)


def make_codec(length: int = 5, tokeniser: Tokeniser | None = None) -> ReviewCodec:
    preprocessing = ReviewPreprocessing(tokeniser=tokeniser or WordTokeniser(), vocabulary_size=8, length=length)
    return ReviewCodec(preprocessing, VOCABULARY)


def test_a_token_is_looked_up_as_it_stands_in_lower_case_and_by_its_longest_ending() -> None:
    vocabulary = ("the", "great", "GREAT", "~s", "~ness", "~ss")
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=10, length=20)
    ids = ReviewCodec(preprocessing, vocabulary).encode
    assert ids("the The tHe THE").ids.tolist() == [1, 4, 4, 4, 4]
    assert ids("the GREAT Great great").ids.tolist() == [1, 4, 6, 5, 5]
    assert ids("THE GREAT").ids.tolist() == [1, 4, 5]  # nothing stands out
    assert ids("oddness Glass cats ness s x").ids.tolist() == [1, 8, 9, 7, 8, 7, 2]


def test_the_id_of_a_word_is_the_one_that_a_text_of_it_has() -> None:
    vocabulary = ("the", "great", "GREAT", "~s", "~ness", "~ss")
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=10, length=20)
    codec = ReviewCodec(preprocessing, vocabulary)
    assert [codec.find_id(word) for word in ("The", "GREAT", "oddness", "x")] == [4, 6, 8, 2]


def test_the_published_ids_of_a_published_review() -> None:
    words = read_vocabulary(KERAS_WORDS)
    preprocessing = ReviewPreprocessing(tokeniser=KerasTokeniser(), vocabulary_size=len(words) + 4, length=500)
    codec = ReviewCodec(preprocessing, words)
    encoded = codec.encode("this film was just brilliant casting location scenery story direction")
    assert encoded.ids.tolist() == [1, 14, 22, 16, 43, 530, 973, 1622, 1385, 65, 458]
    assert encoded.ids.dtype == np.int32
    assert len(words) == 9996
    assert codec.encode(f"{words[0]} {words[-1]}").ids.tolist() == [1, 4, 9999]
    assert codec.encode("br").ids.tolist() == [1, 10]


@pytest.mark.skipif(WORD_INDEX is None, reason="KERAS_WORD_INDEX does not name the file of the word index")
def test_the_keras_words_are_those_of_the_published_index_by_rank() -> None:
    assert WORD_INDEX
    words = read_vocabulary(KERAS_WORDS)
    ranks = json.loads(Path(WORD_INDEX).read_text(encoding="utf-8"))
    by_rank = {rank: word for word, rank in ranks.items()}
    assert words == [by_rank[rank] for rank in range(1, len(words) + 1)]


def test_a_smaller_vocabulary_makes_the_words_behind_its_end_unknown() -> None:
    words = read_vocabulary(KERAS_WORDS)[:530]
    codec = ReviewCodec(ReviewPreprocessing(tokeniser=KerasTokeniser(), vocabulary_size=534, length=20), words)
    assert codec.encode(f"{words[529]} casting").ids.tolist() == [1, 533, 2]


def test_words_have_the_ids_of_their_ranks_and_others_are_unknown() -> None:
    encoded = make_codec(length=9).encode("The good film! Terrific")
    assert encoded.ids.tolist() == [1, 4, 6, 5, 7, 2]


@pytest.mark.parametrize(
    ("text", "ids", "used", "cut"),
    [
        ("", [1], 0, 0),
        ("the film good", [1, 4, 5, 6], 3, 0),
        ("the film good !", [1, 4, 5, 6, 7], 4, 0),
        ("the film good ! x", [4, 5, 6, 7, 2], 5, 0),
        ("x the film good ! x", [4, 5, 6, 7, 2], 5, 1),
        ("x x x x the film good ! !", [4, 5, 6, 7, 7], 5, 4),
    ],
)
def test_the_last_words_are_kept_and_the_start_only_where_nothing_is_cut(
    text: str, ids: list[int], used: int, cut: int
) -> None:
    encoded = make_codec(length=5).encode(text)
    assert encoded.ids.tolist() == ids
    assert (encoded.words_used, encoded.words_cut) == (used, cut)


def test_one_time_step_reads_the_last_word() -> None:
    codec = make_codec(length=1)
    assert codec.encode("").ids.tolist() == [1]
    assert codec.encode("good film").ids.tolist() == [5]


def test_padding_goes_to_the_left() -> None:
    codec = make_codec(length=5)
    padded = codec.pad([codec.encode(text).ids for text in ("", "good film", "the film good ! x")])
    assert padded.dtype == np.int32
    assert padded.tolist() == [[0, 0, 0, 0, 1], [0, 0, 1, 6, 5], [4, 5, 6, 7, 2]]
    assert codec.length == 5
    assert codec.padding == np.int32(0)


def test_no_reviews_pad_to_an_empty_batch() -> None:
    assert make_codec(length=5).pad([]).shape == (0, 5)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (("the", "film", "good"), "has 3 words, 3 of them distinct; vocabulary_size 8 needs 4 distinct words"),
        ((*VOCABULARY, "bad"), "has 5 words, 5 of them distinct"),
        (("the", "film", "good", "film"), "has 4 words, 3 of them distinct"),
        ((), "has 0 words"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(vocabulary: tuple[str, ...], message: str) -> None:
    preprocessing = make_codec().preprocessing
    with pytest.raises(ManifestError, match=message):
        ReviewCodec(preprocessing, vocabulary)


@given(
    text=ANY_TEXT | PIECES | BRACKETS,
    length=st.integers(1, 12),
    tokeniser=st.sampled_from([KerasTokeniser(), WordTokeniser(), TokenTokeniser()]),
)
@settings(deadline=None)
def test_any_text_has_ids_of_the_vocabulary(text: str, length: int, tokeniser: Tokeniser) -> None:
    codec = make_codec(length, tokeniser)
    encoded = codec.encode(text)
    assert 1 <= len(encoded.ids) <= length
    assert all(0 < word_id < codec.preprocessing.vocabulary_size for word_id in encoded.ids)
    assert encoded.words_used + encoded.words_cut == len(tokeniser.split(text))
    assert codec.pad([encoded.ids]).shape == (1, length)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64])
@pytest.mark.parametrize("row", [[1, 6, 5], [0, 0, 1, 6, 5], [1, 6, 5, 0, 0, 0, 0]])
def test_ids_are_read_as_their_text_whatever_their_padding(row: list[int], dtype: type[np.integer]) -> None:
    codec = make_codec()
    read, encoded = codec.read(np.array(row, dtype)), codec.encode("good film")
    assert read.ids.dtype == np.int32 and read.ids.tolist() == encoded.ids.tolist() == [1, 6, 5]
    assert (read.words_used, read.words_unknown, read.words_cut, read.is_readable) == (2, 0, 0, True)


def test_ids_need_no_start_and_may_be_unreadable() -> None:
    read = make_codec().read(np.array([2, 7, 2, 7, 2]))
    assert (read.words_used, read.words_unknown, read.is_readable) == (5, 3, False)
    assert make_codec().read(np.array([1])).words_used == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0, 0], r"all ids are padding \(0\); send at least the id 1"),
        ([], "all ids are padding"),
        ([0, 1, 8], r"8 at position 2 \(the first is 0\) is not an id of this model; send ids from 0 to 7"),
        ([0, -1], "-1 at position 1"),
        ([2**40], "1099511627776 at position 0"),
        ([0, 1, 0, 6, 0], r"padding \(0\) at position 2 \(the first is 0\) stands between ids"),
        ([1, 6, 6, 6, 6, 6], "the row has 6 ids, this model reads at most 5; send the last 5"),
    ],
)
def test_ids_that_no_text_can_have_are_refused(row: list[int], message: str) -> None:
    with pytest.raises(IdsError, match=message):
        make_codec().read(np.array(row, np.int64))


@pytest.mark.parametrize("tokeniser", [KerasTokeniser(), WordTokeniser(), TokenTokeniser()], ids=lambda one: one.kind)
@given(text=ANY_TEXT | PIECES, length=st.integers(1, 6))
def test_the_words_that_are_read_make_the_row_of_the_text(tokeniser: Tokeniser, text: str, length: int) -> None:
    codec = make_codec(length, tokeniser)
    encoded = codec.encode(text)
    words = codec.find_words(text)
    row = codec.make_row_of(np.array([word.id_ for word in words], np.int32))
    assert row.dtype == np.int32
    assert row.tolist() == encoded.ids.tolist()
    assert len(words) == encoded.words_used
    assert sum(not word.is_known for word in words) == encoded.words_unknown


def test_the_last_words_of_a_long_text_are_read() -> None:
    words = make_codec(2).find_words("the the qqq film")
    assert words == [(8, 11, 2, False), (12, 16, 5, True)]
