"""The division of a logit among words, of games whose Shapley values are known."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.tasks.shapley import EXACT_WORDS, PAIRS, Masks, Shares, Values, divide

Game = Callable[[Masks], Values]


class Asked:
    """Evaluates a game, as often as it may."""

    def __init__(self, game: Game, calls: int = 10**6) -> None:
        self.game = game
        self.left = calls
        self.texts = 0

    async def __call__(self, masks: Masks, *, is_needed: bool) -> Values | None:
        if not is_needed and self.left <= 0:
            return None
        self.left -= 1
        self.texts += len(masks)
        return self.game(masks)


def make_game(words: int, seed: int = 0) -> Game:
    """Return a game of words that act together, in pairs and by saturation."""
    random = np.random.default_rng(seed)
    alone, pairs = random.normal(size=words), random.normal(size=(words, words)) / 2

    def play(masks: Masks) -> Values:
        has = masks.astype(float)
        score: Values = 2 * np.tanh(has @ alone) + np.einsum("ti,ij,tj->t", has, pairs, has)
        return score

    return play


def find_exactly(game: Game, words: int) -> Values:
    """Return the values by all sets of words: the changes of each word, weighed by how many orders have them."""
    masks = np.array([[bool(number >> word & 1) for word in range(words)] for number in range(2**words)])
    logits = game(masks)
    sizes = masks.sum(axis=1)
    factorials = np.cumprod([1.0, *range(1, words + 1)])
    values = np.zeros(words)
    for word in range(words):
        for number in range(2**words):
            if not number >> word & 1:
                weight = factorials[sizes[number]] * factorials[words - 1 - sizes[number]] / factorials[words]
                values[word] += weight * (logits[number | 1 << word] - logits[number])
    return values


def run(asked: Asked, words: int, budget: int = 1024, sentences: Sequence[int] | None = None, seed: int = 1) -> Shares:
    nothing, full = asked.game(np.array([[False] * words, [True] * words]))
    numbers = [0] * words if sentences is None else sentences
    return asyncio.run(divide((nothing, full), numbers, budget, np.random.default_rng(seed), asked))


def change(game: Game, words: int) -> float:
    nothing, full = game(np.array([[False] * words, [True] * words]))
    return float(full - nothing)


@settings(max_examples=60, deadline=None)
@given(
    words=st.integers(1, 150),
    budget=st.integers(32 * PAIRS, 2000),
    seed=st.integers(0, 9),
    sentence=st.integers(1, 60),
    calls=st.integers(0, 12),
)
def test_contributions_add_up_whatever_the_budget(
    words: int, budget: int, seed: int, sentence: int, calls: int
) -> None:
    asked = Asked(make_game(words, seed), calls)
    shares = run(asked, words, budget, [word // sentence for word in range(words)], seed)
    assert shares.contributions.shape == shares.errors.shape == (words,)
    assert shares.contributions.sum() == pytest.approx(change(asked.game, words), abs=1e-9)
    assert asked.texts <= budget
    assert not (shares.errors < 0).any()


@pytest.mark.parametrize("words", range(1, EXACT_WORDS + 1))
def test_few_words_get_their_exact_values(words: int) -> None:
    asked = Asked(make_game(words))
    shares = run(asked, words)
    np.testing.assert_allclose(shares.contributions, find_exactly(asked.game, words), atol=1e-12)
    assert not shares.errors.any()


def test_the_exact_values_are_the_means_over_all_orders() -> None:
    game = make_game(5)
    changes = []
    for order in permutations(range(5)):
        masks = np.zeros((6, 5), bool)
        for number, word in enumerate(order, 1):
            masks[number:, word] = True
        one = np.empty(5)
        one[list(order)] = np.diff(game(masks))
        changes.append(one)
    np.testing.assert_allclose(run(Asked(game), 5).contributions, np.mean(changes, axis=0), atol=1e-12)


@pytest.mark.parametrize(("words", "budget"), [(8, 200), (9, 128), (9, 1024), (10, 400), (10, 1000)])
def test_sampled_values_are_within_their_standard_errors(words: int, budget: int) -> None:
    game = make_game(words)
    exact = find_exactly(game, words)
    found = [run(Asked(game), words, budget, seed=seed) for seed in range(40)]
    scores = np.array([(one.contributions - exact) / one.errors for one in found])
    assert np.mean(abs(scores) < 2) > 0.88  # of a normal distribution 0.95; few pairs have longer tails
    assert abs(np.mean([one.contributions for one in found], axis=0) - exact).max() < np.mean(
        [one.errors for one in found]
    )


def test_more_texts_make_errors_smaller() -> None:
    game = make_game(10)
    few, many = run(Asked(game), 10, 200).errors.mean(), run(Asked(game), 10, 5000).errors.mean()
    assert many < few / 3


@pytest.mark.parametrize("words", [4, 12])
def test_a_word_that_changes_nothing_gets_nothing(words: int) -> None:
    game = make_game(words)

    def ignore(masks: Masks) -> Values:
        return game(np.concatenate([np.zeros((len(masks), 1), bool), masks[:, 1:]], axis=1))

    shares = run(Asked(ignore), words)
    assert abs(shares.contributions[0]) <= 4 * shares.errors[0] + 1e-12
    assert shares.errors[0] < (1e-12 if words <= EXACT_WORDS else 0.1)
    assert abs(shares.contributions[1:]).min() > 1e-6


@pytest.mark.parametrize("words", [4, 8])
def test_words_that_do_the_same_get_the_same(words: int) -> None:
    def count(masks: Masks) -> Values:
        score: Values = np.tanh(masks.sum(axis=1) - 1.5)
        return score

    contributions = run(Asked(count), words).contributions
    np.testing.assert_allclose(contributions, contributions[0], atol=1e-12)


def test_words_that_act_alone_get_what_they_do_even_in_passages() -> None:
    alone = np.random.default_rng(0).normal(size=200)

    def add(masks: Masks) -> Values:
        score: Values = masks @ alone
        return score

    sentences = [word // 10 for word in range(200)]
    shares = run(Asked(add), 200, 1024, sentences)
    divided = ~np.isnan(shares.errors)
    assert 0 < divided.sum() < 200
    np.testing.assert_allclose(shares.contributions[divided], alone[divided], atol=1e-9)
    np.testing.assert_allclose(shares.errors[divided], 0, atol=1e-9)
    means = alone.reshape(20, 10).mean(axis=1).repeat(10)
    np.testing.assert_allclose(shares.contributions[~divided], means[~divided], atol=1e-9)
    # The passages that do most are divided.
    totals = abs(means)
    assert totals[divided].min() >= totals[~divided].max()


def test_the_passages_of_a_long_text_are_its_sentences_in_parts_of_bounded_length() -> None:
    seen: list[NDArray[np.bool_]] = []

    def note(masks: Masks) -> Values:
        seen.append(masks)
        score: Values = masks.sum(axis=1).astype(float)
        return score

    sentences = [0] * 7 + [1] * 70 + [2] * 90 + [3]
    run(Asked(note), len(sentences), 1024, sentences)
    first_round = seen[1]  # after both ends
    borders = set(np.flatnonzero((first_round[:, 1:] != first_round[:, :-1]).any(axis=0)) + 1)
    assert {7, 77, 167} <= borders
    assert max(np.diff(sorted(borders | {0, len(sentences)}))) <= 32


@pytest.mark.parametrize("words", [1, 2, 9, 40, 300])
def test_the_same_seed_gives_the_same_answer(words: int) -> None:
    game = make_game(words)
    one, other = run(Asked(game), words), run(Asked(game), words)
    np.testing.assert_array_equal(one.contributions, other.contributions)
    np.testing.assert_array_equal(one.errors, other.errors)


@pytest.mark.parametrize("words", [3, 8, 60])
def test_with_little_time_one_pair_of_orders_is_the_answer(words: int) -> None:
    hurried = Asked(make_game(words), calls=1)
    shares = run(hurried, words)
    assert hurried.texts == 2 * (words - 1)
    assert shares.contributions.sum() == pytest.approx(change(hurried.game, words), abs=1e-9)
    assert np.isnan(shares.errors).all()


@pytest.mark.parametrize(("calls", "is_known"), [(1, False), (2, False), (3, True)])
def test_standard_errors_need_six_texts_a_word(calls: int, is_known: bool) -> None:
    hurried = Asked(make_game(60), calls=calls)
    shares = run(hurried, 60)
    assert hurried.texts == 2 * 59 + 128 * (calls - 1)
    assert shares.contributions.sum() == pytest.approx(change(hurried.game, 60), abs=1e-9)
    assert (shares.errors > 0).all() if is_known else np.isnan(shares.errors).all()


@pytest.mark.parametrize("words", [9, 12, 30])
def test_words_that_act_alone_and_in_twos_get_their_exact_values(words: int) -> None:
    random = np.random.default_rng(words)
    alone, twos = random.normal(size=words), random.normal(size=(words, words))

    def play(masks: Masks) -> Values:
        has = masks.astype(float)
        score: Values = has @ alone + np.einsum("ti,ij,tj->t", has, twos, has)
        return score

    expected = alone + (twos.sum(axis=0) + twos.sum(axis=1)) / 2
    shares = run(Asked(play), words)
    np.testing.assert_allclose(shares.contributions, expected, atol=1e-9)
    np.testing.assert_allclose(shares.errors, 0, atol=1e-9)


def test_a_text_without_words_has_nothing_to_divide() -> None:
    def fail(*_: Any) -> Values:
        raise AssertionError("it has no texts to evaluate")

    shares = asyncio.run(divide((1, 1), [], 1024, np.random.default_rng(0), Asked(fail)))
    assert not len(shares.contributions) and not len(shares.errors)
