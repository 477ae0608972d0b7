"""The accuracy of a review network by kind of review, and its worst mistakes, for its card."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bundle.reviews import ReviewCodec
from bundle.rows import Row
from bundle.tasks import SENTIMENT
from training.data.imdb import Imdb, Review
from training.evaluation.evaluate import Evaluation, by_label

_MISTAKES = 20
_LENGTHS = (100, 200, 400)
_FIRST = (20, 50, 100, 200)
_TYPO_SHARE = 0.1
_LONG_ENOUGH = 4  # letters of a word that gets a typo

Answer = Callable[[Sequence[str]], NDArray[np.floating]]
Line = tuple[str, int, float]  # of a table: name, number and accuracy of a group


def describe_labels(evaluation: Evaluation, labels: Sequence[str]) -> str:
    """Return the table of a card with the figures of each label, Markdown."""
    rows = "\n".join(
        f"| {escape(label)} | {count:,} | {' | '.join('-' if np.isnan(each) else f'{each:.4f}' for each in figures)} |"
        for label, count, *figures in by_label(evaluation, labels)
    )
    return f"""\
By label, with the accuracy of its answers (precision) and the share of its examples that were found (recall):

| label | examples | precision | recall | F1 |
|---|---|---|---|---|
{rows}
"""


def describe_texts(texts: Sequence[str], evaluation: Evaluation) -> str:
    """Return the table of a card with the accuracy by length, for texts of any kind, Markdown."""
    return f"""\
By length:

| texts | number | accuracy |
|---|---|---|
{_make_rows(by_length(texts, evaluation))}
"""


def describe(data: Imdb, evaluation: Evaluation, answer: Answer, seed: int) -> str:
    """Return the tables of a card, Markdown.

    Args:
        data: the dataset.
        evaluation: of a network on its test reviews.
        answer: maps texts to the network's probabilities of positive, float [texts].
        seed: random seed of the letter swaps.
    """
    reviews = data.test
    rows = [
        *by_length([review.text for review in reviews], evaluation),
        *by_stars(reviews, evaluation),
        *by_novelty(data, evaluation),
        *by_change(reviews, answer, seed),
    ]
    mistakes = "\n".join(
        f"| `{name}` | {answer} | {confidence:.4f} |" for name, answer, confidence in find_mistakes(reviews, evaluation)
    )
    return f"""\
| reviews | number | accuracy |
|---|---|---|
{_make_rows(rows)}

Its most confident mistakes:

| file | answer | probability |
|---|---|---|
{mistakes}
"""


def make_answer(codec: ReviewCodec, predict: Callable[[Sequence[Row]], NDArray[np.float32]]) -> Answer:
    """Return the answers of a network to texts; NaN for a text without a known word, as it has no verdict."""

    def answer(texts: Sequence[str]) -> NDArray[np.floating]:
        encoded = [codec.encode(text) for text in texts]
        answers = predict([review.ids for review in encoded])[:, 0]
        return np.where([review.is_readable for review in encoded], answers, np.nan)

    return answer


def find_verdicts(answers: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return 1 for positive, 0 for negative and -1 for no verdict (NaN), int8 of the same shape."""
    return np.where(np.isnan(answers), -1, answers >= 0.5).astype(np.int8)


def by_length(texts: Sequence[str], evaluation: Evaluation) -> list[Line]:
    """Return the name, the number and the accuracy of each group of texts with similar lengths."""
    lengths = np.array([len(text.split()) for text in texts])
    limits = [0, *_LENGTHS, lengths.max(initial=0) + _LENGTHS[-1]]
    rows = []
    for low, high in zip(limits[:-1], limits[1:], strict=True):
        name = f"over {low}" if high == limits[-1] else f"{low + 1} to {high}"
        rows.append((f"{name} words", (lengths > low) & (lengths <= high)))
    return _measure(rows, evaluation)


def by_stars(reviews: Sequence[Review], evaluation: Evaluation) -> list[Line]:
    """Return the same, grouped by the number of stars."""
    stars = np.array([review.stars for review in reviews])
    return _measure([(f"{count} of 10 stars", stars == count) for count in np.unique(stars)], evaluation)


def by_novelty(data: Imdb, evaluation: Evaluation) -> list[Line]:
    """Return the same for test reviews whose text is also in a training file and for the others, if there are any."""
    read = {review.text.strip() for review in data.train} | {text.strip() for text in data.unlabelled}
    known = np.array([review.text.strip() in read for review in data.test])
    if not known.any():
        return []
    return _measure([("text in a training file too", known), ("text in no training file", ~known)], evaluation)


def by_change(reviews: Sequence[Review], answer: Answer, seed: int) -> list[Line]:
    """Return the same for reviews cut to their first words, and for reviews with changed spelling or markup."""
    changes: dict[str, Callable[[str], str]] = {
        f"the first {count} words": partial(take_words, count) for count in _FIRST
    }
    random = np.random.default_rng(seed)
    changes |= {
        f"letters swapped in {_TYPO_SHARE:.0%} of the words": lambda text: swap_letters(text, random),
        "all in capitals": str.upper,
        "all in lower case": str.lower,
        "every sentence in a tag": lambda text: re.sub(r"[^.!?]+[.!?]*", r"<p class='x'>\g<0></p>", text),
    }
    labels = np.array([review.label for review in reviews])
    rows = []
    for name, change in changes.items():
        verdicts = find_verdicts(answer([change(review.text) for review in reviews]))
        rows.append((name, len(reviews), float(np.mean(verdicts == labels))))
    return rows


def find_mistakes(reviews: Sequence[Review], evaluation: Evaluation) -> list[tuple[str, str, float]]:
    """Return file, answer and confidence of the wrong answers with the greatest confidence."""
    confidence = evaluation.probabilities.max(axis=1)
    wrong = np.flatnonzero(evaluation.answers != evaluation.labels)
    found = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    return [
        (
            f"test/{('neg', 'pos')[reviews[k].label]}/{reviews[k].number}_{reviews[k].stars}.txt",
            SENTIMENT.labels[evaluation.answers[k]],
            float(confidence[k]),
        )
        for k in found
    ]


def escape(label: str) -> str:
    """Return a label as text of a table in Markdown."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", label)


def take_words(count: int, text: str) -> str:
    """Return the first words of a text."""
    return " ".join(text.split()[:count])


def swap_letters(text: str, random: np.random.Generator) -> str:
    """Return a text with two neighbouring letters swapped inside a tenth of the words that have at least four."""

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        if random.random() >= _TYPO_SHARE:
            return word
        at = int(random.integers(1, len(word) - 2))
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(rf"[^\W\d_]{{{_LONG_ENOUGH},}}", swap, text)


def _make_rows(lines: Sequence[Line]) -> str:
    return "\n".join(f"| {name} | {count:,} | {accuracy:.2%} |" for name, count, accuracy in lines)


def _measure(groups: Sequence[tuple[str, NDArray[np.bool_]]], evaluation: Evaluation) -> list[Line]:
    right = evaluation.answers == evaluation.labels
    return [(name, int(members.sum()), float(right[members].mean())) for name, members in groups if members.any()]
