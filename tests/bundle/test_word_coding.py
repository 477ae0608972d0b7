"""The coding of imported networks: reserved ids, sides, and words that are left out."""

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer
from pydantic import ValidationError

from bundle.errors import IdsError, ManifestError
from bundle.imported_tokenisers import WhitespaceTokeniser
from bundle.manifest import Manifest
from bundle.probabilities import make_probe_rows
from bundle.reviews import ReviewCodec, WordCoding, write_vocabulary
from bundle.store import MODEL_FILE, Store
from bundle.tasks import TASKS
from tests.bundle.samples import REVIEWS

WORDS = ("a", "b", "c", "!", "d")


def make_codec(**changes: Any) -> ReviewCodec:
    fields: dict[str, Any] = {
        "tokeniser": WhitespaceTokeniser(lower=True),
        "words": len(WORDS),
        "length": 4,
        "padding_id": 0,
        "start_id": None,
        "unknown_id": 1,
        "rank_offset": 1,
        "padding_side": "right",
        "truncation_side": "right",
    }
    return ReviewCodec(WordCoding(**fields | changes), WORDS)


@pytest.mark.parametrize(
    ("changes", "text", "ids", "used", "cut", "unknown"),
    [
        ({}, "A b x", [2, 3, 1], 3, 0, 1),
        ({}, "a b c d a", [2, 3, 4, 6], 4, 1, 0),
        ({"truncation_side": "left"}, "a b c d a", [3, 4, 6, 2], 4, 1, 0),
        ({"start_id": 7}, "a b c d", [7, 2, 3, 4], 3, 1, 0),
        ({"start_id": 7, "truncation_side": "left"}, "a b c d", [2, 3, 4, 6], 4, 0, 0),
        ({"start_id": 7, "truncation_side": "left"}, "a b c", [7, 2, 3, 4], 3, 0, 0),
        ({"unknown_id": None}, "x a x b x", [2, 3], 5, 0, 3),
        ({"unknown_id": None}, "x a x b c d x a x", [2, 3, 4, 6], 7, 2, 3),
        ({"unknown_id": None, "truncation_side": "left"}, "a x b c d a x", [3, 4, 6, 2], 5, 2, 1),
        ({"unknown_id": None, "start_id": 7}, "x a b c x d", [7, 2, 3, 4], 5, 1, 2),
        ({"unknown_id": None, "start_id": 7, "truncation_side": "left"}, "x a b", [7, 2, 3], 3, 0, 1),
        ({"unknown_id": None}, "", [], 0, 0, 0),
        ({"rank_offset": -1, "unknown_id": 5, "padding_id": 6}, "a x d", [0, 5, 4], 3, 0, 1),
        ({"unknown_id": 0}, "x a", [0, 2], 2, 0, 1),
    ],
)
def test_a_text_is_coded_as_the_section_says(
    changes: dict[str, Any], text: str, ids: list[int], used: int, cut: int, unknown: int
) -> None:
    codec = make_codec(**changes)
    encoded = codec.encode(text)
    assert encoded.ids.tolist() == ids and encoded.ids.dtype == np.int32
    assert (encoded.words_used, encoded.words_cut, encoded.words_unknown) == (used, cut, unknown)
    words = codec.find_words(text)
    assert [len(words), sum(not word.is_known for word in words)] == [used, unknown]
    read = [word.id_ for word in words if word.id_ is not None]
    assert codec.make_row_of(np.array(read, np.int32)).tolist() == ids


def test_a_text_is_readable_if_a_known_word_is() -> None:
    codec = make_codec()
    assert [codec.encode(text).is_readable for text in ("a", "! x", "x", "")] == [True, False, False, False]


@pytest.mark.parametrize(("side", "row"), [("right", [2, 3, 0, 0]), ("left", [0, 0, 2, 3])])
def test_rows_are_padded_on_their_side(side: str, row: list[int]) -> None:
    codec = make_codec(padding_side=side)
    assert codec.pad([codec.encode("a b").ids]).tolist() == [row]
    assert codec.preprocessing.pads_right == (side == "right")
    assert codec.read(np.array(row)).ids.tolist() == [2, 3]


def test_a_word_that_is_left_out_has_no_id() -> None:
    assert make_codec().find_id("x") == 1
    with pytest.raises(KeyError, match="x"):
        make_codec(unknown_id=None).find_id("x")


@pytest.mark.parametrize(
    ("changes", "row", "message"),
    [
        ({}, [0, 0], "send at least one other id"),
        ({"start_id": 7}, [0], "send at least the id 7"),
        ({}, [2, 0, 3], "stands between ids"),
        ({}, [2, 2, 2, 2, 2], "send the first 4"),
        ({"truncation_side": "left"}, [2, 2, 2, 2, 2], "send the last 4"),
        ({}, [7], "send ids from 0 to 6"),
    ],
)
def test_rows_of_ids_that_do_not_fit_are_refused(changes: dict[str, Any], row: list[int], message: str) -> None:
    with pytest.raises(IdsError, match=message):
        make_codec(**changes).read(np.array(row))


def test_unknown_words_may_have_the_id_of_padding() -> None:
    read = make_codec(unknown_id=0).read(np.array([2, 0, 3, 0]))
    assert read.ids.tolist() == [2, 0, 3] and read.words_unknown == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padding_id": 2}, "padding_id is 2, which is the id of word 1"),
        ({"unknown_id": 6}, "unknown_id is 6, which is the id of word 5"),
        ({"start_id": 1}, "start_id is 1, which is also the id of padding or of unknown words"),
    ],
)
def test_ids_that_stand_for_two_things_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_codec(**changes)


def test_another_number_of_words_is_refused() -> None:
    with pytest.raises(ManifestError, match="5 words, 5 of them distinct.* needs 4 distinct words"):
        make_codec(words=4)


@pytest.mark.parametrize("changes", [{}, {"rank_offset": -1, "unknown_id": None, "padding_id": 5}])
def test_random_rows_have_every_id_but_padding(changes: dict[str, Any]) -> None:
    codec = make_codec(**changes)
    ids = Counter(codec.make_row(2000, np.random.default_rng(0)).tolist())
    assert set(ids) == set(range(codec.preprocessing.vocabulary_size)) - {codec.preprocessing.padding_id}
    assert codec.make_longest_row().tolist()[0] == codec.preprocessing.word_ids[-1]
    assert all(len(row) <= 4 for row in make_probe_rows(codec))


@given(
    texts=st.lists(st.text("abcx! .,\n", max_size=15), min_size=1, max_size=5),
    length=st.integers(1, 6),
    padding=st.sampled_from(["pre", "post"]),
    truncating=st.sampled_from(["pre", "post"]),
    oov=st.sampled_from([None, "<OOV>"]),
)
@settings(max_examples=200, deadline=None)
def test_the_rows_are_those_of_keras(
    texts: list[str], length: int, padding: str, truncating: str, oov: str | None
) -> None:
    tokenizer = Tokenizer(num_words=4, oov_token=oov, filters=".,\n")
    tokenizer.fit_on_texts(["a b c d", "a b c", "a"])
    words = [word for word, rank in tokenizer.word_index.items() if word != oov and rank < 4]
    codec = ReviewCodec(
        WordCoding(
            tokeniser={"kind": "keras-json", "lower": True, "filters": ".,\n", "separator": " "},
            words=len(words),
            length=length,
            padding_id=0,
            start_id=None,
            unknown_id=oov and 1,
            rank_offset=int(oov is not None),
            padding_side="left" if padding == "pre" else "right",
            truncation_side="left" if truncating == "pre" else "right",
        ),
        words,
    )
    expected = keras.utils.pad_sequences(tokenizer.texts_to_sequences(texts), length, "int32", padding, truncating)
    np.testing.assert_array_equal(codec.pad([codec.encode(text).ids for text in texts]), expected)


def test_a_bundle_with_another_coding_is_read_again(tmp_path: Path) -> None:
    codec = make_codec()
    description = REVIEWS.model_copy(update={"preprocessing": codec.preprocessing})
    store = Store(tmp_path)
    with store.stage("reviews") as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", WORDS)
        bundle = store.publish(folder, description)
    assert Manifest.read(bundle.folder).preprocessing == codec.preprocessing
    assert store.open("reviews").codec.preprocessing == codec.preprocessing
    assert isinstance(codec.preprocessing, TASKS["sentiment"].sections)
