import sys
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import BAD, GOOD
from training.data.imdb import Review
from training.errors import DataError
from training.wild import baselines


def test_tfidf_learns_the_words_of_reviews() -> None:
    reviews = [
        Review(label, number, 9, f"A {word} film.")
        for label, words in enumerate((BAD, GOOD))
        for number in range(4)
        for word in words
    ]
    answers = baselines.fit_tfidf(reviews)(["wonderful", "an awful film"])
    assert answers[0] > 0.5 > answers[1]


def test_a_score_of_nothing_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package, which is optional: it scores "good" and "bad" only."""
    package = ModuleType("vaderSentiment.vaderSentiment")

    class SentimentIntensityAnalyzer:
        def polarity_scores(self, text: str) -> dict[str, float]:
            return {"compound": {"good": 0.5, "bad": -1.0}.get(text, 0.0)}

    package.__dict__["SentimentIntensityAnalyzer"] = SentimentIntensityAnalyzer
    monkeypatch.setitem(sys.modules, "vaderSentiment", ModuleType("vaderSentiment"))
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", package)
    np.testing.assert_array_equal(baselines.load_vader()(["good", "bad", "table"]), [0.75, 0, np.nan])


def test_without_vader_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment", None)
    with pytest.raises(DataError, match="VADER is not installed; call `pip install vaderSentiment`"):
        baselines.load_vader()
