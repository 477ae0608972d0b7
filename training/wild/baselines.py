"""Other classifiers of sentiment, to compare with: a lexicon, and a logistic regression of n-grams."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from training.data.imdb import Review
from training.errors import DataError
from training.evaluation.analysis import Answer


def fit_tfidf(reviews: Sequence[Review]) -> Answer:
    """Train TF-IDF of one to three words with a logistic regression on reviews."""
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 3), min_df=3, sublinear_tf=True, token_pattern=r"[\w']+"),
        LogisticRegression(C=10, max_iter=1000),
    )
    pipeline.fit([review.text for review in reviews], [review.label for review in reviews])

    def answer(texts: Sequence[str]) -> NDArray[np.floating]:
        found: NDArray[np.floating] = pipeline.predict_proba(texts)[:, 1]
        return found

    return answer


def load_vader() -> Answer:
    """Return VADER's answers; its compound score, -1 to 1, is mapped to 0 to 1, and a score of 0 is no verdict.

    Raises:
        DataError: it is not installed.
    """
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        raise DataError(
            "VADER is not installed; call `pip install vaderSentiment` (the extra vader), or leave --vader out"
        ) from error
    analyser = SentimentIntensityAnalyzer()

    def answer(texts: Sequence[str]) -> NDArray[np.floating]:
        scores = np.array([analyser.polarity_scores(text)["compound"] for text in texts])
        return np.where(scores == 0, np.nan, (scores + 1) / 2)

    return answer
