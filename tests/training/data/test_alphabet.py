import hashlib

import numpy as np
import pytest

from bundle.letters import ALPHABET
from training.data.alphabet import (
    Pattern,
    all_runs,
    copy_short_runs,
    hash_patterns,
    make_patterns,
    random_runs,
    runs_within,
)
from training.recipes.letters import LetterSettings

SMALL = LetterSettings(patterns="all", length=3, units=1, batch_size=1, epochs=1, seed=5)


def draw_as_the_reference(count: int, longest: int, seed: int) -> list[tuple[str, str]]:
    random = np.random.RandomState(seed)
    drawn = []
    for _ in range(count):
        first = random.randint(24)
        last = random.randint(first, min(first + longest, 25))
        letters = [chr(ord("A") + number) for number in range(first, last + 2)]
        drawn.append(("".join(letters[:-1]), letters[-1]))
    return drawn


@pytest.mark.parametrize(("longest", "seed"), [(5, 7), (1, 0), (26, 2**32 - 1)])
def test_random_runs_are_those_of_the_reference(longest: int, seed: int) -> None:
    runs = [(pattern.sequence, pattern.target) for pattern in random_runs(300, longest, seed)]
    assert runs == draw_as_the_reference(300, longest, seed)


def test_random_runs_begin_as_the_reference_prints_them() -> None:
    printed = "PQRST -> U, W -> X, O -> P, OPQ -> R, IJKLM -> N, QRSTU -> V, ABCD -> E, X -> Y, GHIJ -> K"
    assert ", ".join(f"{run.sequence} -> {run.target}" for run in random_runs(9, 5, seed=7)) == printed


def test_random_runs_keep_to_their_bounds() -> None:
    runs = list(random_runs(5000, 4, seed=1))
    assert len(runs) == 5000
    assert {len(run.sequence) for run in runs} == {1, 2, 3, 4}
    assert {run.sequence[0] for run in runs} == set(ALPHABET[:24])
    assert {run.sequence[-1] for run in runs} == set(ALPHABET[:25])
    assert all(run.sequence + run.target in ALPHABET for run in runs)


def test_all_runs_wrap_round() -> None:
    runs = list(all_runs(26))
    assert len(runs) == len(set(runs)) == 26 * 26
    twice = ALPHABET * 3
    for run in runs:
        assert 1 <= len(run.sequence) <= 26
        assert run.sequence + run.target in twice
    assert Pattern("XYZ", "A") in runs
    assert Pattern(ALPHABET, "A") in runs


def test_all_runs_of_one_letter_are_its_successors() -> None:
    assert [run.sequence + run.target for run in all_runs(1)][:2] == ["AB", "BC"]
    assert list(all_runs(1))[-1] == Pattern("Z", "A")


def test_runs_longer_than_the_alphabet_go_round_again() -> None:
    assert list(all_runs(28))[-26] == Pattern(ALPHABET + "AB", "C")


@pytest.mark.parametrize(("length", "count"), [(1, 25), (3, 23), (25, 1), (26, 0)])
def test_runs_within_the_alphabet_are_all_that_a_letter_follows(length: int, count: int) -> None:
    runs = list(runs_within(length))
    assert len(runs) == len(set(runs)) == count
    assert all(len(run.sequence) == length and run.sequence + run.target in ALPHABET for run in runs)
    assert [run.target for run in runs] == list(ALPHABET[length:])


def test_runs_within_the_alphabet_begin_at_its_beginning() -> None:
    assert list(runs_within(3))[:2] == [Pattern("ABC", "D"), Pattern("BCD", "E")]
    assert list(runs_within(3))[-1] == Pattern("WXY", "Z")


def test_short_runs_are_copied_in_inverse_proportion_to_their_length() -> None:
    runs = [Pattern("A", "B"), Pattern("AB", "C"), Pattern("ABC", "D"), Pattern("ABCDEFGH", "I")]
    copied = copy_short_runs(runs, 7)
    assert [copied.count(run) for run in runs] == [7, 3, 2, 1]
    assert sorted(copied, key=lambda run: len(run.sequence)) == copied
    assert copy_short_runs(runs, 1) == runs


def test_a_recipe_says_which_patterns_it_wants() -> None:
    assert make_patterns(SMALL) == list(all_runs(3))
    random = SMALL.model_copy(update={"patterns": "random", "examples": 40})
    assert make_patterns(random) == list(random_runs(40, 3, seed=5))
    alphabet = SMALL.model_copy(update={"patterns": "alphabet"})
    assert make_patterns(alphabet) == list(runs_within(3))
    prefixes = SMALL.model_copy(update={"patterns": "prefixes"})
    assert make_patterns(prefixes) == [Pattern("A", "B"), Pattern("AB", "C"), Pattern("ABC", "D")]


@pytest.mark.parametrize(
    ("patterns", "length", "count"), [("alphabet", 1, 25), ("alphabet", 3, 23), ("prefixes", 25, 25)]
)
def test_the_patterns_of_the_alphabet_are_as_many_as_the_reference_has(patterns: str, length: int, count: int) -> None:
    made = make_patterns(SMALL.model_copy(update={"patterns": patterns, "length": length}))
    assert len(set(made)) == len(made) == count


def test_prefixes_are_the_alphabet_as_far_as_it_was_read() -> None:
    prefixes = make_patterns(SMALL.model_copy(update={"patterns": "prefixes", "length": 25}))
    assert [prefix.sequence[-1] for prefix in prefixes] == list(ALPHABET[:25])
    assert all(ALPHABET.startswith(prefix.sequence + prefix.target) for prefix in prefixes)


def test_the_hash_is_over_the_patterns_in_their_order() -> None:
    runs = [Pattern("AB", "C"), Pattern("Z", "A")]
    assert hash_patterns(runs) == hashlib.sha256(b"AB>C\nZ>A\n").hexdigest()
    assert hash_patterns(runs[::-1]) != hash_patterns(runs)
