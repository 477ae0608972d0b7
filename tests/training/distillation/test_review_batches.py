from collections.abc import Iterator

import numpy as np
import pytest

from bundle.reviews import ReviewPreprocessing
from bundle.tokenisers import TokenTokeniser
from training.distillation.corpus import Corpus
from training.distillation.review_batches import ReviewBatches, group_by_length
from training.recipes.staged import TuningSettings

PREPROCESSING = ReviewPreprocessing(tokeniser=TokenTokeniser(), vocabulary_size=100, length=12)


@pytest.fixture
def corpus() -> Corpus:
    """Reviews of 2 to 9 ids, four of each length, in each of which the second is its number + 10."""
    return Corpus.of(np.r_[1, k + 10, np.full(k // 4, 4)].astype(np.int32) for k in range(30))


def make_batches(corpus: Corpus, word_dropout: float = 0, seed: int = 7, checkpoint_steps: int = 100) -> ReviewBatches:
    rows = np.arange(3, 17)
    settings = TuningSettings(
        epochs=1,
        length=12,
        batch_size=2,
        word_dropout=word_dropout,
        checkpoint_steps=checkpoint_steps,
    )
    return ReviewBatches(corpus, rows, rows.astype(np.float32), PREPROCESSING, settings, seed)


@pytest.mark.parametrize(("checkpoint_steps", "epochs"), [(100, 1), (2, 4), (1, 8)])
def test_every_review_is_read_in_every_pass_with_its_label(corpus: Corpus, checkpoint_steps: int, epochs: int) -> None:
    batches = make_batches(corpus, checkpoint_steps=checkpoint_steps)
    assert (batches.steps_per_pass, batches.epochs_per_pass) == (8, epochs)
    for number in range(3):
        seen = set()
        for ids, labels in read_pass(batches, number):
            assert ids.dtype == np.int32 and labels.dtype == np.float32
            assert labels.shape == (2, 1)
            for row, (label,) in zip(ids, labels, strict=True):
                assert row[row > 0][:2].tolist() == [1, label + 10]
                assert np.count_nonzero(row == 4) == label // 4
                seen.add(int(label))
        assert seen == set(range(3, 17))


def read_pass(batches: ReviewBatches, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for part in range(batches.epochs_per_pass):
        batches.epoch = number * batches.epochs_per_pass + part
        yield from (batches[k][0] for k in range(len(batches)))


def test_a_batch_depends_on_seed_and_epoch_alone(corpus: Corpus) -> None:
    first, again = make_batches(corpus, 0.5), make_batches(corpus, 0.5)
    first.epoch = again.epoch = 2
    later = [again[k] for k in reversed(range(len(again)))][::-1]
    for k, batch in enumerate(later):
        np.testing.assert_array_equal(first[k][0][0], batch[0][0])
    other = make_batches(corpus, 0.5, seed=8)
    other.epoch = 2
    pairs = [(first[k][0][0], other[k][0][0]) for k in range(len(first))]
    assert any(one.shape != another.shape or (one != another).any() for one, another in pairs)


def test_the_first_two_batches_have_different_lengths(corpus: Corpus) -> None:
    batches = make_batches(corpus)
    for epoch in range(20):
        batches.epoch = epoch
        assert batches[0][0][0].shape != batches[1][0][0].shape


def test_words_are_dropped_and_nothing_else(corpus: Corpus) -> None:
    batches = make_batches(corpus, word_dropout=0.5)
    ids = np.concatenate([batches[k][0][0].ravel() for k in range(len(batches))])
    words = ids[ids > 1]
    assert 0.2 < np.mean(words == 2) < 0.8
    assert np.count_nonzero(ids == 1) >= 7


def test_a_batch_of_short_reviews_has_more_of_them(corpus: Corpus) -> None:
    settings = TuningSettings(epochs=1, length=8, batch_size=2, short_batch_size=5, word_dropout=0)
    rows = np.arange(30)
    batches = ReviewBatches(corpus, rows, rows.astype(np.float32), PREPROCESSING, settings, 7)
    sizes = {}
    for ids, _ in read_pass(batches, 0):
        sizes[ids.shape[1]] = len(ids)
    assert sizes == {3: 5, 5: 3, 6: 2, 7: 2, 8: 2}


def test_reviews_are_grouped_by_length_with_equally_many_words() -> None:
    lengths = np.array([9, 1, 3, 5, 50, 2, 60, 4, 8, 1, 3, 4, 14, 2, 70, 4])
    groups = group_by_length(lengths, 12)
    assert {length: members.tolist() for length, members in groups.items()} == {
        3: [1, 2, 5, 9, 10, 13],
        4: [7, 11, 15],
        8: [3, 8],
        12: [0, 4, 6, 12, 14],
    }
    assert {length: len(members) for length, members in group_by_length(lengths, 12, 3).items()} == {8: 11, 12: 5}


def test_labels_of_several_outputs_are_rows_of_probabilities() -> None:
    corpus = Corpus.of([np.array([1, 5 + k % 3], np.int32) for k in range(6)])
    labels = np.eye(3, dtype=np.float32)[np.arange(6) % 3]
    settings = TuningSettings(epochs=1, length=4, batch_size=3, word_dropout=0)
    batches = ReviewBatches(corpus, np.arange(6), labels, PREPROCESSING, settings, 7)
    for number in range(len(batches)):
        ((ids, targets),) = batches[number]
        assert targets.shape == (3, 3) and np.array_equal(targets.argmax(axis=1), ids[:, -1] - 5)
