from pathlib import Path

import numpy as np

from bundle.reviews import ReviewCodec, ReviewPreprocessing
from bundle.tokenisers import TokenTokeniser
from training.distillation.corpus import Corpus, Reviews

REVIEWS = [np.array(ids, np.int32) for ids in ([1, 5, 6], [1], [1, 7, 8, 9, 4])]


def test_reviews_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    Corpus.of(REVIEWS).save(tmp_path)
    corpus = Corpus.open(tmp_path)
    assert isinstance(corpus.ids, np.memmap)
    assert len(corpus) == 3
    assert corpus.lengths.tolist() == [3, 1, 5]
    assert [corpus[k].tolist() for k in range(3)] == [ids.tolist() for ids in REVIEWS]
    assert corpus.join(np.array([2, 0])).tolist() == [1, 7, 8, 9, 4, 1, 5, 6]


def test_the_last_words_are_kept_and_padding_goes_to_the_left() -> None:
    padded = Corpus.of(REVIEWS).pad(np.array([2, 1, 0]), 4, 0)
    assert padded.dtype == np.int32
    assert padded.tolist() == [[7, 8, 9, 4], [0, 0, 0, 1], [0, 1, 5, 6]]


def test_words_are_counted_in_all_reviews_that_are_not_held_out() -> None:
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=10, length=5)
    codec = ReviewCodec(preprocessing, [f"word{number}" for number in range(6)])
    reviews = Reviews(codec, Corpus.of(REVIEWS), np.ones(2, np.float32), np.array([1]), np.array([0]))
    assert reviews.count_words().tolist() == [0, 2, 0, 0, 1, 0, 0, 1, 1, 1]
    read = reviews.take_not_held_out()
    assert [read[k].tolist() for k in range(len(read))] == [[1], [1, 7, 8, 9, 4]]


def make_labelled(labels: list[int], kept: list[int], held_out: list[int], reviews: int) -> Reviews:
    preprocessing = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=10, length=5)
    codec = ReviewCodec(preprocessing, [f"word{number}" for number in range(6)])
    corpus = Corpus.of([np.array([1], np.int32)] * reviews)
    return Reviews(codec, corpus, np.array(labels, np.float32), np.array(kept), np.array(held_out))


def test_parts_have_as_much_of_each_label_and_neighbours_together() -> None:
    reviews = make_labelled([0] * 6 + [1] * 6, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10], [5, 11], 12)
    assert [part.tolist() for part in reviews.split(2)] == [[0, 1, 2, 6, 7, 8], [3, 4, 9, 10]]


def test_labels_left_out_are_no_labels() -> None:
    reviews = make_labelled([0, 1, 0, 1], [0, 1, 2], [3], 5)
    assert reviews.label(np.array([1])).tolist() == [0, -1, 0, -1, -1]


def test_a_given_label_is_mixed_with_the_answers() -> None:
    reviews = make_labelled([0, 1, 0, 1], [0, 1, 2], [3], 5)
    answers = np.array([0.5, 0.5, 0.25, 0.75, 0.125], np.float32)
    assert reviews.mix_labels(answers, 0.75).tolist() == [0.125, 0.875, 0.0625, -1, 0.125]
    assert answers[0] == 0.5
