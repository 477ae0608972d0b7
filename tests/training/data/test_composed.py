from itertools import islice

import numpy as np
import pytest

from training.data.composed import TARGETS, Part, Sentence, compose


def take(part: Part, count: int, seed: int = 1) -> list[tuple[Sentence, Sentence]]:
    return list(islice(compose(part, np.random.default_rng(seed)), count))


@pytest.mark.parametrize("part", ["train", "report"])
def test_both_sentences_of_a_pair_differ_only_in_their_opinion(part: Part) -> None:
    for positive, negative in take(part, 500):
        assert positive.kind == negative.kind
        assert (positive.target, negative.target) == TARGETS[positive.kind]
        assert positive.text != negative.text
        assert "{" not in positive.text + negative.text


@pytest.mark.parametrize("part", ["train", "report"])
def test_sentences_begin_with_a_capital_and_have_the_right_article(part: Part) -> None:
    for sentence in (sentence for pair in take(part, 500) for sentence in pair):
        assert sentence.text[0] == sentence.text[0].upper()
        words = sentence.text.lower().split()
        for article, word in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                is_vowel = word[0] in "aeiou" and not word.startswith("use")
                assert (article == "an") == is_vowel, sentence.text


def test_every_kind_is_composed_and_the_same_seed_gives_the_same_sentences() -> None:
    pairs = take("train", 300)
    assert {positive.kind for positive, _ in pairs} == set(TARGETS)
    assert pairs == take("train", 300)
    assert pairs != take("train", 300, seed=2)


def test_no_opinion_word_and_no_frame_is_in_both_parts() -> None:
    trained = {sentence.text for pair in take("train", 3000) for sentence in pair}
    reported = {sentence.text for pair in take("report", 3000) for sentence in pair}
    assert not trained & reported
