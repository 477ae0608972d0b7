"""Answers to the texts of a file, and the columns that they add to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bundle.tasks import NEXT_LETTER

# As the service gives it in JSON.
Answer = Mapping[str, Any]
Kind = Literal["text", "probability", "count"]

_COUNTS = ("words_used", "words_unknown", "words_cut")


class Refused(NamedTuple):
    """A text that the model cannot read, and why."""

    reason: str


class Column(NamedTuple):
    """A column that is added; values may be None."""

    name: str
    kind: Kind


class Columns:
    """The columns that the answers of a model add.

    Attributes:
        labels: of the model.
        added: the columns, in order.
    """

    def __init__(self, task: str, labels: Sequence[str], prefix: str = "") -> None:
        """Take the task and the labels of a model, and what the names of the columns begin with."""
        self.labels = tuple(labels)
        self._has_letters = task == NEXT_LETTER.name
        predicted = Column("predicted_letter" if self._has_letters else "predicted_sentiment", "text")
        if self._has_letters:
            added = [predicted, Column("probability", "probability")]
        else:
            shown = labels[1:] if len(labels) == 2 else labels
            probabilities = [Column(f"probability_{label}", "probability") for label in shown]
            added = [predicted, *probabilities, *(Column(name, "count") for name in _COUNTS)]
        self.added = tuple(Column(prefix + column.name, column.kind) for column in added)

    def list_values(self, answer: Answer) -> list[Any]:
        """Return the values of the added columns."""
        if self._has_letters:
            return [answer["next_letter"], answer["probability"]]
        if len(self.labels) == 2:
            probabilities = [answer["probability_positive"]]
        else:
            found = answer["probabilities"]
            probabilities = [None] * len(self.labels) if found is None else [found[label] for label in self.labels]
        return [answer["sentiment"], *probabilities, *(answer[name] for name in _COUNTS)]

    def find_label(self, answer: Answer) -> tuple[str, float] | None:
        """Return the label of an answer with its probability; None if the model knows nothing in the text."""
        if self._has_letters:
            return answer["next_letter"], answer["probability"]
        label = answer["sentiment"]
        if label is None:
            return None
        if len(self.labels) == 2:
            second = answer["probability_positive"]
            return label, second if label == self.labels[1] else 1 - second
        return label, answer["probability"]
