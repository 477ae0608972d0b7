import numpy as np

from bundle.readable import ReadableTokeniser
from training.data.ratings import BEST, NEUTRAL, TARGETS, WORST, list_numbers, list_ratings

TOKENISER = ReadableTokeniser()


def test_a_higher_rating_is_never_less_positive() -> None:
    judged = dict(list_ratings())
    for scale in (4, 5, 10, 100):
        steps = range(0, scale + 1, max(1, scale // 10))
        targets = [judged[f"I give it {given}/{scale}."] for given in steps]
        assert targets == sorted(targets)
        assert (targets[0], targets[-1]) == (TARGETS[0], TARGETS[-1])
    assert judged["1 star"] < judged["2 stars"] < judged["4 stars"] < judged["5 stars"]
    assert judged["\u2605\u2605\u2606\u2606\u2606"] == judged["2 out of 5"] == judged["\u2b50\u2b50"] == judged["4/10"]


def test_every_form_of_a_rating_is_read_as_a_rating_with_one_target() -> None:
    """No text teaches another probability for the same token."""
    targets: dict[str, set[float]] = {}
    for text, target in list_ratings():
        read = {word for word in map(TOKENISER.fold, TOKENISER.split(text)) if "/" in word or "\u2605" in word}
        assert len(read) == 1 or "star" in text, text
        for word in read:
            targets.setdefault(word, set()).add(target)
    assert len(targets) == 11 + 9 + 2  # tenths, rows of stars, and quarters
    assert [word for word, found in targets.items() if len(found) > 1] == []


def test_each_text_occurs_once_and_there_are_a_few_thousand() -> None:
    texts = [text for text, _ in (*list_ratings(), *list_numbers())]
    assert len(texts) == len(set(texts))
    assert 3000 <= len(texts) <= 4000


def test_the_texts_are_balanced() -> None:
    assert abs(np.mean([target for _, target in list_ratings()]) - 0.5) < 0.03
    numbers = [target for _, target in list_numbers()]
    assert numbers.count(BEST) == numbers.count(WORST) >= 30
    assert numbers.count(NEUTRAL) >= 700


def test_numbers_are_neutral_alone_in_names_dates_hours_and_prices_and_no_ratings() -> None:
    judged = dict(list_numbers())
    neutral = ("1", "#1", "Season 1", "Chapter 1", "Room 12", "1/11/2018", "1:30", "$5", "It costs 10 dollars.", "1992")
    assert {judged[text] for text in neutral} == {NEUTRAL}
    assert (judged["The #1 film of the year"], judged["number one waste of money"]) == (BEST, WORST)
    read = [word for text in judged for word in map(TOKENISER.fold, TOKENISER.split(text))]
    assert not any(word.endswith("/10") or "\u2605" in word for word in read)
