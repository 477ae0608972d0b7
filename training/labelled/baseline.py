"""The baseline of every training on the user's texts: TF-IDF of words and pairs of words, with logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

MOST_ROWS = 50_000  # training rows, at random; the texts are held in memory
_FEATURES = 200_000  # the most frequent words and pairs
_STRENGTHS = (1.0, 4.0, 16.0)  # inverse of the regularisation; the best on the validation rows


@dataclass(frozen=True)
class Baseline:
    """Figures of the baseline on the test texts.

    Attributes:
        accuracy: share of right answers.
        macro_f1: mean of the labels' F1.
        rows: training rows that it learnt from.
    """

    accuracy: float
    macro_f1: float
    rows: int


def measure_baseline(
    training: tuple[Sequence[str], NDArray[np.int32]],
    validation: tuple[Sequence[str], NDArray[np.int32]],
    test: tuple[Sequence[str], NDArray[np.int32]],
    by_character: bool = False,
) -> Baseline | None:
    """Train and measure the baseline; None if the texts have no words.

    Args:
        training: texts and their labels, int32 [texts]; at most `MOST_ROWS`.
        validation: the same; the strength of the regularisation is chosen on them.
        test: the same, to be measured on.
        by_character: whether characters take the place of words, for scripts without spaces.
    """
    vectoriser = TfidfVectorizer(
        analyzer="char" if by_character else "word",
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=_FEATURES,
        dtype=np.float32,
    )
    (texts, labels), (held_out, held_out_labels), (asked, right) = training, validation, test
    try:
        counts = vectoriser.fit_transform(texts)
    except ValueError:  # only stop words or no words at all
        return None
    counts_held_out = vectoriser.transform(held_out)
    classifiers = [LogisticRegression(C=c, max_iter=300).fit(counts, labels) for c in _STRENGTHS]
    best = max(classifiers, key=lambda each: float(each.score(counts_held_out, held_out_labels)))
    answers = best.predict(vectoriser.transform(asked))
    return Baseline(
        float(metrics.accuracy_score(right, answers)),
        float(metrics.f1_score(right, answers, average="macro")),
        len(texts),
    )
