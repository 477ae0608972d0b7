"""The n-gram teacher: logistic regression of naive-Bayes-weighted n-grams, which labels reviews that it never saw.

Source: Wang and Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification".
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from training.errors import DataError
from training.recipes.staged import NgramSettings


def soft_label(
    settings: NgramSettings,
    split: Callable[[str], list[str]],
    texts: Sequence[str],
    labels: NDArray[np.int32] | NDArray[np.float32],
    asked: Sequence[str],
    seed: int,
) -> NDArray[np.float32]:
    """Return the probability of label 1 for the texts in `asked`, float32 [asked], learnt from labelled texts.

    Raises:
        DataError: the texts all have one label, or are too few to have an n-gram in common.
    """
    if len(np.unique(labels)) < 2:
        raise DataError(f"{len(texts)} training reviews all have one label; hold out fewer of them")
    vectoriser = CountVectorizer(
        tokenizer=split,
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, settings.longest),
        min_df=settings.fewest_reviews,
        binary=True,
        dtype=np.float32,
    )
    try:
        counts = vectoriser.fit_transform(texts)
    except ValueError as error:
        raise DataError(f"{len(texts)} training reviews are too few to learn labels from ({error})") from error
    # Count one more review of either label, so that no logarithm is of zero.
    of_label = [1 + np.asarray(counts[labels == label].sum(axis=0)).ravel() for label in (0, 1)]
    ratios = np.log((of_label[1] / of_label[1].sum()) / (of_label[0] / of_label[0].sum()))
    # The dual problem is smaller here: there are far fewer reviews than n-grams.
    classifier = LogisticRegression(C=settings.c, solver="liblinear", dual=True, random_state=seed)
    classifier.fit(counts.multiply(ratios).tocsr(), labels)
    weighted = vectoriser.transform(asked).multiply(ratios).tocsr()
    probabilities: NDArray[np.float32] = classifier.predict_proba(weighted)[:, 1].astype(np.float32)
    return probabilities
