"""How often the answers are the labels of a file: accuracy, confusion matrix, and calibration."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydantic import BaseModel

from app.scoring.answers import Answer, Columns
from app.scoring.display import count_rows

BINS = 15  # of equal width, as in `training.evaluation.calibration`
_MOST_SHOWN = 12  # labels of a confusion matrix
# Names of two labels that are known to be negative and positive. Compared without case.
_PAIRS = (("0", "1"), ("neg", "pos"), ("negative", "positive"), ("false", "true"), ("no", "yes"))
_SENTIMENTS = ("negative", "positive")


class Figures(BaseModel):
    """Counts of rows with a label.

    Attributes:
        labels: of the model.
        confusion: rows by their label and then by the predicted one.
        unreadable: rows, by their label, in which the model knows no word.
        other: rows whose label the model does not have.
        first_other: the first such label with its place.
        without: rows without a label.
        binned: rows by the probability of the predicted label.
        confidence: the sum of these probabilities.
        right: rows of these that are right.
    """

    labels: tuple[str, ...]
    confusion: list[list[int]]
    unreadable: list[int]
    other: int = 0
    first_other: str = ""
    without: int = 0
    binned: list[int] = [0] * BINS
    confidence: list[float] = [0.0] * BINS
    right: list[int] = [0] * BINS

    @classmethod
    def make(cls, labels: Sequence[str]) -> Self:
        """Return the figures of no rows."""
        return cls(
            labels=tuple(labels),
            confusion=[[0] * len(labels) for _ in labels],
            unreadable=[0] * len(labels),
        )

    @property
    def rows(self) -> int:
        """Rows that are counted."""
        return sum(map(sum, self.confusion)) + sum(self.unreadable)

    @property
    def accuracy(self) -> float:
        """The share of the rows whose predicted label is theirs; NaN without rows."""
        right = sum(self.confusion[label][label] for label in range(len(self.labels)))
        return right / self.rows if self.rows else math.nan

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: the mean distance of probability and accuracy, bin by bin."""
        gaps = (abs(confidence - right) for confidence, right in zip(self.confidence, self.right, strict=True))
        answered = sum(self.binned)
        return sum(gaps) / answered if answered else math.nan


class Counter:
    """Counts the rows of a file into figures."""

    def __init__(self, figures: Figures, columns: Columns) -> None:
        """Take the figures of the rows before, and how to read answers."""
        self._columns = columns
        self._figures = figures
        self._places = _number_labels(figures.labels)

    def add(self, label: Any, answer: Answer, where: str) -> None:
        """Count a row with its label, as it is in the file, and its place for messages."""
        figures = self._figures
        name = _write(label)
        if not name:
            figures.without += 1
            return
        true = self._places.get(name, self._places.get(name.casefold()))
        if true is None:
            figures.other += 1
            figures.first_other = figures.first_other or f"{name[:80]!r} in {where}"
            return
        found = self._columns.find_label(answer)
        if found is None:
            figures.unreadable[true] += 1
            return
        predicted, confidence = figures.labels.index(found[0]), found[1]
        figures.confusion[true][predicted] += 1
        bin_ = min(int(confidence * BINS), BINS - 1)
        figures.binned[bin_] += 1
        figures.confidence[bin_] += confidence
        figures.right[bin_] += true == predicted


def describe(figures: Figures) -> Iterator[str]:
    """Yield the figures as lines."""
    yield f"labelled rows      {figures.rows:,}"
    if figures.rows:
        yield f"accuracy           {figures.accuracy:.4f}"
        yield f"calibration error  {figures.calibration_error:.4f} (expected, {BINS} bins)"
    if unreadable := sum(figures.unreadable):
        yield f"In {unreadable:,} of them the model knows no word; they count as wrong."
    if figures.without:
        yield f"{count_rows(figures.without)} without a label."
    if figures.other:
        yield (
            f"{count_rows(figures.other)} with a label that the model does not have, such as {figures.first_other}: "
            f"not counted; its labels are: {', '.join(figures.labels)}"
        )
    if figures.rows and len(figures.labels) <= _MOST_SHOWN:
        yield from _draw_confusion(figures)
    if figures.rows:
        yield from _draw_calibration(figures)


def _draw_confusion(figures: Figures) -> Iterator[str]:
    width = max(len("label"), *map(len, figures.labels)) + 2
    heads = [f"as {label}" for label in figures.labels]
    yield ""
    yield "label".ljust(width) + "".join(f"{head:>{len(head) + 2}}" for head in heads)
    for label, row in zip(figures.labels, figures.confusion, strict=True):
        cells = (f"{count:>{len(head) + 2},}" for count, head in zip(row, heads, strict=True))
        yield label.ljust(width) + "".join(cells)


def _draw_calibration(figures: Figures) -> Iterator[str]:
    yield ""
    yield "probability  rows       mean    right"
    bins = zip(figures.binned, figures.confidence, figures.right, strict=True)
    for number, (rows, confidence, right) in enumerate(bins):
        if rows:
            span = f"{number / BINS:.2f}-{(number + 1) / BINS:.2f}"
            yield f"{span:<11}  {rows:<9,}  {confidence / rows:.4f}  {right / rows:.4f}"


def _number_labels(labels: Sequence[str]) -> dict[str, int]:
    """Return the number of each label by the names that it may have in a file."""
    numbers = {label: number for number, label in enumerate(labels)}
    for label, number in [*numbers.items()]:
        numbers.setdefault(label.casefold(), number)
    if tuple(labels) == _SENTIMENTS:
        for pair in _PAIRS:
            for number, name in enumerate(pair):
                numbers.setdefault(name, number)
    return numbers


def _write(label: Any) -> str:
    """Return a label as text; empty if it is missing."""
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return ""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label).strip()
