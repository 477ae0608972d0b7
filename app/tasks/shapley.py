"""Shapley values of words: how much each word of a text changes the answer of a network. Free of networks and HTTP.

A word's value is the mean change of the answer when the word joins the words before it, over all orders of the words
(L. S. Shapley: A value for n-person games, 1953). The changes along one order add up to the change from no words to all
words, and so do the values, whatever the number of orders that are sampled (J. Castro, D. Gomez, J. Tejada: Polynomial
calculation of the Shapley value based on sampling, 2009). Each order is used with its reverse, which lowers the error
(R. Mitchell, J. Cooper, E. Frank, G. Holmes: Sampling permutations for Shapley value estimation, 2022).

A text of up to about a hundred words is divided by a regression instead, whose errors are smaller for the same number
of texts: see `_regress`. In a long text whole passages join first. Then the words of a passage join in random orders,
between the same passages, so that their values add up to the value of the passage (G. Owen: Values of games with a
priori unions, 1977).
"""

from collections.abc import Sequence
from math import comb
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]  # [texts, words]: which words a text has
Values = NDArray[np.float64]
Order = NDArray[np.intp]

# Texts of at most this many words are answered for all sets of their words.
EXACT_WORDS = 8
# Pairs of orders of the passages of a long text. A text for which as many pairs of orders of its words would be within
# the budget is no long text.
PAIRS = 4
# Pairs of texts a word from which values are fitted.
LEAST_FITTED = 3
# Texts that are answered at a time, if an order does not need more.
ROUND = 128
# Words of a passage, if sentences are longer.
MOST_WORDS = 32


class Evaluate(Protocol):
    """Answers texts with some of the words."""

    async def __call__(self, masks: Masks, *, is_needed: bool) -> Values | None:
        """Return the logit of each text, float64 [texts].

        Args:
            masks: bool [texts, words].
            is_needed: whether there is no explanation without them; for other texts it may return None, which ends
                the sampling.
        """


class Shares(NamedTuple):
    """How the change of the logit from no words to all words is divided.

    Attributes:
        contributions: of the words, float64 [words].
        errors: their standard errors, float64 [words]; NaN for words with equal shares of their passage, and for all
            words if there was time for only one pair of orders.
    """

    contributions: Values
    errors: Values


class _Sampled(NamedTuple):
    """Some orders of the passages; each is followed by its reverse.

    Attributes:
        orders: passages, intp [orders, passages].
        chains: logits with the first 0, 1, ... passages of each order, float64 [orders, passages + 1].
    """

    orders: NDArray[np.intp]
    chains: Values


async def divide(
    ends: tuple[float, float], sentences: Sequence[int], budget: int, random: np.random.Generator, evaluate: Evaluate
) -> Shares:
    """Divide the change of the logit among the words of a text.

    Args:
        ends: the logits of no words and of all words.
        sentences: the number of each word's sentence, rising from 0.
        budget: most texts to evaluate, at least `32 * PAIRS`.
        random: draws the orders.
        evaluate: answers texts.
    """
    words = len(sentences)
    if words < 2:
        return Shares(np.full(words, ends[1] - ends[0]), np.zeros(words))
    if words <= EXACT_WORDS and 2**words <= budget:
        return await _enumerate(ends, words, random, evaluate)
    if 2 * PAIRS * words <= budget:
        return await _regress(ends, words, budget, random, evaluate)
    passages, pairs = _find_passages(sentences, budget), PAIRS
    sampled = await _sample(ends, passages, pairs, random, evaluate)
    contributions, errors = _average(_find_changes(sampled))
    sizes = np.bincount(passages)
    shares = Shares((contributions / sizes)[passages], np.where(sizes > 1, np.nan, errors)[passages])
    left = budget - 2 * pairs * (len(sizes) - 1)
    divisible = np.flatnonzero(sizes > 1)
    for passage in divisible[np.argsort(-abs(contributions[divisible]))].tolist():
        cost = len(sampled.orders) * (int(sizes[passage]) - 1)
        if cost > left:
            continue  # a shorter one may fit
        changes = await _divide_passage(passage, passages, sampled, random, evaluate)
        if changes is None:
            break
        left -= cost
        members = passages == passage
        shares.contributions[members], shares.errors[members] = _average(changes)
    return shares


async def _enumerate(ends: tuple[float, float], words: int, random: np.random.Generator, evaluate: Evaluate) -> Shares:
    """Return the exact values, from the logits of all sets of words; of one pair of orders if there is no more time."""
    pair = await _sample(ends, np.arange(words), 1, random, evaluate)
    numbers = 1 << np.arange(words)
    logits = np.empty(2**words)
    is_new = np.ones(2**words, bool)
    for order, chain in zip(pair.orders, pair.chains, strict=True):
        known = np.concatenate([[0], np.cumsum(numbers[order])])  # the set of each step
        logits[known], is_new[known] = chain, False
    sets = np.arange(2**words)
    masks = (sets[:, np.newaxis] & numbers).astype(bool)
    found = await evaluate(masks[is_new], is_needed=False) if is_new.any() else np.empty(0)
    if found is None:
        return Shares(*_average(_find_changes(pair)))
    logits[is_new] = found
    sizes = masks.sum(axis=1)
    weights = np.array([1 / (words * comb(words - 1, size)) for size in range(words)])
    contributions = np.empty(words)
    for word in range(words):
        without = sets[~masks[:, word]]
        changes = logits[without | 1 << word] - logits[without]
        contributions[word] = weights[sizes[without]] @ changes
    return Shares(contributions, np.zeros(words))


async def _regress(
    ends: tuple[float, float], words: int, budget: int, random: np.random.Generator, evaluate: Evaluate
) -> Shares:
    """Return the values by a regression on pairs of texts, or of one pair of orders if there is no time for more.

    A text and the one of all other words differ by twice the odd part of the logit, in which words act alone, in threes
    and so on. The values are the coefficients of the best linear fit to it, each size of texts having its weight, that
    adds up to the change (S. Lundberg, S. Lee: A unified approach to interpreting model predictions, 2017; I. Covert,
    S. Lee: Improving KernelSHAP, 2021). Texts of one word are all there; of other sizes, a sample.
    """
    pair = await _sample(ends, np.arange(words), 1, random, evaluate)
    # The first words of an order and those of its reverse are such pairs, too. Texts of one word come below.
    masks = [_list_prefixes(pair.orders[0], np.arange(words))[1:-1]]
    odd = [(pair.chains[0, 2:-2] - pair.chains[1, -3:1:-1]) / 2]
    sizes = _draw_sizes(words, budget // 2 - 2 * words + 1, random)
    drawn = np.argsort(random.random((len(sizes), words)), axis=1) < sizes[:, np.newaxis]
    wanted = np.concatenate([np.eye(words, dtype=bool), drawn])
    for begin in range(0, len(wanted), ROUND // 2):
        some = wanted[begin : begin + ROUND // 2]
        logits = await evaluate(np.concatenate([some, ~some]), is_needed=False)
        if logits is None:
            break
        masks.append(some)
        odd.append((logits[: len(some)] - logits[len(some) :]) / 2)
    found = np.concatenate(odd)
    if len(found) < LEAST_FITTED * words:
        return Shares(*_average(_find_changes(pair)))
    return _fit(np.concatenate(masks), found, ends[1] - ends[0])


def _draw_sizes(words: int, count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return how many words some texts have, from 2 to half of all.

    Small texts have more weight in the fit, so they are more frequent: the best frequencies are between those of equal
    texts a size and those of the weights.
    """
    sizes = np.arange(2, words // 2 + 1)
    frequencies = 1 / np.sqrt(sizes * (words - sizes)) / np.where(2 * sizes == words, 2, 1)
    places = (random.random() + np.arange(count)) / count * frequencies.sum()
    drawn: NDArray[np.intp] = sizes[np.minimum(np.searchsorted(np.cumsum(frequencies), places), len(sizes) - 1)]
    random.shuffle(drawn)
    return drawn


def _fit(masks: Masks, odd: Values, change: float) -> Shares:
    """Return the values by the odd parts of the logits of texts, float64 [texts]; the values add up to a change."""
    words = masks.shape[1]
    sizes = masks.sum(axis=1)
    sizes = np.minimum(sizes, words - sizes)
    weights = 1 / (sizes * (words - sizes)) / np.where(2 * sizes == words, 2, 1) / np.bincount(sizes)[sizes]
    signs = np.where(masks, 1.0, -1.0)
    inverse = np.linalg.inv(signs.T @ (weights[:, np.newaxis] * signs))
    sums = inverse.sum(axis=0)
    free = inverse @ (signs.T @ (weights * odd))
    halves = free - sums * (free.sum() - change / 2) / sums.sum()
    # The variance of the fit by its residuals. Texts of one word are no sample, and have none.
    projected = inverse - np.outer(sums, sums) / sums.sum()
    is_drawn = sizes > 1
    residuals = (weights * (odd - signs @ halves))[is_drawn, np.newaxis] * signs[is_drawn] @ projected
    count = int(is_drawn.sum())
    return Shares(2 * halves, 2 * np.sqrt((residuals**2).sum(axis=0) * count / (count - words)))


async def _sample(
    ends: tuple[float, float], passages: Order, pairs: int, random: np.random.Generator, evaluate: Evaluate
) -> _Sampled:
    """Evaluate at most this many pairs of orders of the passages, whose numbers are given for each word."""
    count = int(passages[-1]) + 1
    inner = count - 1
    orders: list[Order] = []
    chains: list[Values] = []
    while len(orders) < 2 * pairs:
        is_first = not orders  # one pair, so that a short deadline has an answer
        new_pairs = 1 if is_first else min(max(1, ROUND // (2 * inner)), pairs - len(orders) // 2)
        drawn = [random.permutation(count) for _ in range(new_pairs)]
        new = [order for one in drawn for order in (one, one[::-1])]
        masks = np.concatenate([_list_prefixes(order, passages) for order in new])
        logits = await evaluate(masks, is_needed=is_first)
        if logits is None:
            break
        orders += new
        chains += [np.concatenate([ends[:1], chain, ends[1:]]) for chain in logits.reshape(len(new), inner)]
    return _Sampled(np.stack(orders), np.stack(chains))


def _list_prefixes(order: Order, passages: Order) -> Masks:
    """Return the texts with the first 1, 2, ... passages of an order, without that of all passages."""
    return np.argsort(order)[passages] < np.arange(1, len(order))[:, np.newaxis]


def _find_changes(sampled: _Sampled) -> Values:
    """Return the change by each passage in each order, float64 [orders, passages]."""
    changes = np.empty(sampled.orders.shape)
    np.put_along_axis(changes, sampled.orders, np.diff(sampled.chains), axis=1)
    return changes


async def _divide_passage(
    passage: int, passages: Order, sampled: _Sampled, random: np.random.Generator, evaluate: Evaluate
) -> Values | None:
    """Return the change by each word of a passage in each order, float64 [orders, words]; None if it is not known."""
    members = np.flatnonzero(passages == passage)
    inner = len(members) - 1
    masks: list[Masks] = []
    orders: list[Order] = []
    ends: list[Values] = []
    for number, (order, chain) in enumerate(zip(sampled.orders, sampled.chains, strict=True)):
        words = orders[-1][::-1] if number % 2 else random.permutation(len(members))
        orders.append(words)
        ranks = np.argsort(order)
        some = np.repeat([ranks[passages] < ranks[passage]], inner, axis=0)
        some[:, members] = np.argsort(words) < np.arange(1, len(members))[:, np.newaxis]
        masks.append(some)
        ends.append(chain[[ranks[passage], ranks[passage] + 1]])
    logits = await evaluate(np.concatenate(masks), is_needed=False)
    if logits is None:
        return None
    before, after = np.split(np.stack(ends), 2, axis=1)
    return _find_changes(
        _Sampled(np.stack(orders), np.concatenate([before, logits.reshape(len(orders), inner), after], axis=1))
    )


def _average(changes: Values) -> tuple[Values, Values]:
    """Return means and standard errors of changes in pairs of orders, float64 [orders, words]; NaN of one pair."""
    pairs = changes.reshape(-1, 2, changes.shape[1]).mean(axis=1)
    if len(pairs) == 1:
        return pairs[0], np.full(pairs.shape[1], np.nan)
    return pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))


def _find_passages(sentences: Sequence[int], budget: int) -> Order:
    """Return the number of each word's passage: a sentence, or part of a long one, or several of very many."""
    longest = min(MOST_WORDS, budget // (8 * PAIRS))
    parts: list[int] = []  # of each word
    for length in np.bincount(sentences):
        count = -(-int(length) // longest)
        first = parts[-1] + 1 if parts else 0
        parts += [first + word * count // int(length) for word in range(length)]
    most = budget // (4 * PAIRS)
    joined = -(-(parts[-1] + 1) // most)
    return np.array(parts) // joined
