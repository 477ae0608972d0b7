"""Labels by n-grams, for rows without one and beside the given ones: see `training.distillation.ngrams`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from training.distillation.ngrams import soft_label
from training.recipes.staged import NgramSettings

MOST_LABELLED = 50_000  # texts that the teacher learns from, at random; they are held in memory
MOST_ASKED = 100_000  # texts that it labels, at random
FOLDS = 4  # parts of the labelled texts, each labelled by the others


def label(
    settings: NgramSettings,
    split: Callable[[str], list[str]],
    texts: Sequence[str],
    labels: NDArray[np.int32],
    asked: Sequence[str],
    seed: int,
) -> NDArray[np.float32]:
    """Return probabilities of the labels, float32 [asked, outputs]; of two, the probability of the second.

    Of more labels, each is judged against the others, and their probabilities are scaled to a sum of 1.

    Raises:
        DataError: see `soft_label`.
    """
    found = np.unique(labels)
    if len(found) == 2:
        return soft_label(settings, split, texts, labels, asked, seed)[:, np.newaxis]
    each = [soft_label(settings, split, texts, (labels == one).astype(np.int32), asked, seed) for one in found]
    probabilities = np.stack(each, axis=1)
    shares: NDArray[np.float32] = probabilities / probabilities.sum(axis=1, keepdims=True)
    return shares


def label_unseen(
    settings: NgramSettings,
    split: Callable[[str], list[str]],
    texts: Sequence[str],
    labels: NDArray[np.int32],
    seed: int,
) -> NDArray[np.float32]:
    """Return the same for the labelled texts themselves; each is judged by n-grams of the other parts of the texts.

    Every label needs `FOLDS` texts.
    """
    parts = [*StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels)]
    answers = [
        label(settings, split, [texts[k] for k in seen], labels[seen], [texts[k] for k in unseen], seed)
        for seen, unseen in parts
    ]
    order = np.concatenate([unseen for _, unseen in parts])
    found: NDArray[np.float32] = np.concatenate(answers)[np.argsort(order)]
    return found
