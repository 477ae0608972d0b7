from bundle.readable import ReadableTokeniser
from training.data.ratings import TARGETS, list_ratings


def test_a_higher_rating_is_never_less_positive() -> None:
    judged = dict(list_ratings())
    for scale in (4, 5, 10, 100):
        steps = range(0, scale + 1, max(1, scale // 10))
        targets = [judged[f"I give it {given}/{scale}."] for given in steps]
        assert targets == sorted(targets)
        assert (targets[0], targets[-1]) == (TARGETS[0], TARGETS[-1])
    assert judged["1 star"] < judged["2 stars"] < judged["4 stars"] < judged["5 stars"]
    assert judged["\u2605\u2605\u2606\u2606\u2606"] == judged["2 out of 5"] == judged["\u2b50\u2b50"] == judged["4/10"]


def test_each_text_occurs_once_and_can_be_read() -> None:
    texts = [text for text, _ in list_ratings()]
    assert len(texts) == len(set(texts))
    assert all(ReadableTokeniser().split(text) for text in texts)
