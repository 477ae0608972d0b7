from pathlib import Path

import numpy as np
import pytest

from bundle.reviews import ReviewCodec
from tests.training.films import QUIET, find_settings, write
from training.data.labelled.reading import DataOptions, read
from training.data.labelled.texts import LabelledTexts
from training.errors import DataError
from training.labelled import coding


def learn(texts: LabelledTexts, *assignments: str) -> ReviewCodec:
    return coding.learn_codec(find_settings(*assignments), [texts.train, texts.unlabelled], QUIET)


def test_the_vocabulary_is_counted_in_the_data(texts: LabelledTexts) -> None:
    codec = learn(texts)
    assert {"film", "wonderful", "awful", "is", "."} <= set(codec.vocabulary)
    assert codec.preprocessing.tokeniser.kind == "readable" and codec.length == 12
    assert codec.encode("an odd, unknown word").words_unknown == 5


def test_a_word_that_occurs_once_is_read_by_its_ending(tmp_path: Path) -> None:
    rows = [*((f"a film of {kind}ness", "a") for kind in ("good", "odd", "sad")), *[("a bad film", "b")] * 3]
    codec = learn(read(write(tmp_path / "films.csv", rows), DataOptions(test_share=0.1), 1))
    assert "film" in codec.vocabulary and "oddness" not in codec.vocabulary and "~ness" in codec.vocabulary


def test_the_vocabulary_has_a_limit_and_another_tokeniser(texts: LabelledTexts) -> None:
    assert learn(texts, "vocabulary_size=12", "endings=2").preprocessing.vocabulary_size == 12
    codec = learn(texts, "tokeniser=keras", "vocabulary_size=10", "endings=0")
    assert codec.preprocessing.tokeniser.kind == "keras" and len(codec.vocabulary) == 6


def test_texts_without_repeated_words_are_refused(tmp_path: Path) -> None:
    rows = [("one", "a"), ("two", "b"), ("three", "a"), ("four", "b")]
    with pytest.raises(DataError, match="films.csv has no word that occurs twice"):
        learn(read(write(tmp_path / "films.csv", rows), DataOptions(test_share=0.3), 1))


def test_texts_are_coded_as_the_service_does_it(texts: LabelledTexts) -> None:
    codec = learn(texts)
    coded = coding.code(codec, texts.test, "Coding", QUIET)
    expected = [codec.encode(text) for text in texts.test.read()]
    assert len(coded.corpus) == len(expected)
    assert all(np.array_equal(coded.corpus[k], row.ids) for k, row in enumerate(expected))
    unknown = sum(row.words_unknown for row in expected) / sum(row.words_used for row in expected)
    assert coded.unknown_share == pytest.approx(unknown)
    examples = coded.pad(codec)
    assert examples.inputs.shape == (len(expected), 12) and np.array_equal(examples.labels, texts.test.labels)
