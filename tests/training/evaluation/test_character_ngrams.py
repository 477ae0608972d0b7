import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.sequences import Sequences
from training.evaluation import character_ngrams
from training.evaluation.character_ngrams import CharacterNgrams, find_positions, find_top, measure_baselines


def make_sequences(*texts: str, alphabet: str = "ab") -> Sequences:
    ids = [[alphabet.index(character) + 1 for character in text] for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in ids])]).astype(np.int64)
    return Sequences(np.concatenate(ids).astype(np.uint8), starts, np.arange(len(ids), dtype=np.uint64))


def draw(steps: NDArray[np.float64], count: int, length: int, seed: int) -> Sequences:
    """Return sequences of a Markov chain with these probabilities of the next character."""
    random = np.random.default_rng(seed)
    rows = random.integers(len(steps), size=(count, 1))
    bounds = np.cumsum(steps, axis=1)
    for _ in range(length - 1):
        drawn = (random.random((count, 1)) > bounds[rows[:, -1]]).sum(axis=1, keepdims=True)
        rows = np.hstack([rows, drawn])
    starts = np.arange(count + 1, dtype=np.int64) * length
    return Sequences((rows.ravel() + 1).astype(np.uint8), starts, np.arange(count, dtype=np.uint64))


def test_positions_are_all_characters_but_the_first_of_a_sequence() -> None:
    positions = find_positions(make_sequences("ab", "bab"), 100)
    assert positions.places.tolist() == [1, 3, 4]
    assert positions.begins.tolist() == [0, 2, 2]
    assert positions.targets.tolist() == [1, 0, 1]
    assert positions.look_back(1).tolist() == [1, 2, 1]
    assert positions.look_back(2).tolist() == [0, 0, 2]
    few = find_positions(make_sequences("ab" * 50), 10, seed=3)
    assert len(few) == len(set(few.places)) == 10
    assert few.places.tolist() == find_positions(make_sequences("ab" * 50), 10, seed=3).places.tolist()


def test_an_n_gram_is_interpolated_as_witten_and_bell_do() -> None:
    training = find_positions(make_sequences("aab", "abb"), 100)  # after the first: a b, b b
    ngrams = CharacterNgrams(training, 2, 1)
    positions = find_positions(make_sequences("ab", "bb"), 100)
    shortest = np.array([(1 + 2 / 2) / (4 + 2), (3 + 2 / 2) / (4 + 2)])
    np.testing.assert_allclose(ngrams.predict(positions, 0), [shortest, shortest])
    after_a = (np.array([1, 2]) + 2 * shortest) / (3 + 2)
    after_b = (np.array([0, 1]) + 1 * shortest) / (1 + 1)
    np.testing.assert_allclose(ngrams.predict(positions, 1), [after_a, after_b])
    bits = -np.log2([after_a[1], after_b[1]]).mean()
    assert ngrams.measure(positions) == pytest.approx([-np.log2(shortest[1]), bits])


def test_probabilities_add_up_after_contexts_never_seen() -> None:
    ngrams = CharacterNgrams(find_positions(make_sequences("abcabc", "ab", alphabet="abcd"), 100), 4, 8)
    found = ngrams.predict(find_positions(make_sequences("ddcbadabc", alphabet="abcd"), 100), 8)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found > 0).all()


def test_contexts_of_large_alphabets_are_shorter() -> None:
    positions = find_positions(make_sequences("ab"), 10)
    assert CharacterNgrams(positions, 200, 8).longest == 7
    assert CharacterNgrams(positions, 2, 8).longest == 8


def test_the_baseline_comes_near_the_entropy_of_a_chain() -> None:
    steps = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.45, 0.1, 0.45]])
    stationary = np.linalg.matrix_power(steps, 100)[0]
    entropy = -(stationary[:, np.newaxis] * steps * np.log2(steps)).sum()
    training, validation, test = (draw(steps, 300, 40, seed) for seed in range(3))
    frequent, ngram = measure_baselines(training, validation, find_positions(test, 20_000), 3, seed=0)
    assert frequent.name == "most frequent character"
    assert frequent.accuracy == pytest.approx(stationary.max(), abs=0.03)
    assert ngram.name == "n-gram with back-off, 1 characters of context"
    assert ngram.bits == pytest.approx(entropy, abs=0.03)
    assert ngram.top_3_accuracy == 1
    assert frequent.bits > ngram.bits and ngram.accuracy > frequent.accuracy


def test_of_many_sequences_some_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(character_ngrams, "MOST_CHARACTERS", 600)
    sequences = draw(np.array([[0.9, 0.1], [0.1, 0.9]]), 100, 12, 0)
    _, ngram = measure_baselines(sequences, sequences, find_positions(sequences, 1000), 2, seed=0)
    assert ngram.name.endswith(" characters of context, of 50% of the lines")
    assert ngram.bits < 0.7


def test_the_target_is_among_the_first_or_not() -> None:
    probabilities = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    targets = np.array([3, 1], np.int32)
    assert [find_top(probabilities, targets, count) for count in (1, 2, 3, 4)] == [0, 0, 0.5, 1]
    equal = np.full((4, 4), 0.25)
    assert [find_top(equal, np.arange(4, dtype=np.int32), count) for count in (1, 3)] == [0.25, 0.75]
