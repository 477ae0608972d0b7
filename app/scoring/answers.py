"""Answers to the texts of a file, and the columns that they add to it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bundle.tasks import NEXT_LETTER
from tables.table import Column

# As the service gives it in JSON.
Answer = Mapping[str, Any]

_COUNTS = ("words_used", "words_unknown", "words_cut")


class Refused(NamedTuple):
    """A text that the model cannot read, and why."""

    reason: str


class Columns:
    """The columns that the answers of a model add.

    Attributes:
        labels: of the model.
        added: the columns, in order.
        nothing: the answer to a row without a text.
    """

    def __init__(self, task: str, labels: Sequence[str], prefix: str = "") -> None:
        """Take the task and the labels of a model, and what the names of the columns begin with."""
        self.labels = tuple(labels)
        self._has_letters = task == NEXT_LETTER.name
        self.nothing: Answer
        predicted = Column("predicted_letter" if self._has_letters else "predicted_sentiment", "text")
        if self._has_letters:
            added = [predicted, Column("probability", "probability")]
            self.nothing = {"next_letter": None, "probability": None}
        else:
            shown = labels[1:] if len(labels) == 2 else labels
            probabilities = [Column(f"probability_{label}", "probability") for label in shown]
            added = [predicted, *probabilities, *(Column(name, "count") for name in _COUNTS)]
            nothing = dict.fromkeys(("sentiment", "probability_positive", "probability", "probabilities"))
            self.nothing = nothing | dict.fromkeys(_COUNTS, 0)
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
        label = answer["next_letter" if self._has_letters else "sentiment"]
        if label is None:
            return None
        if not self._has_letters and len(self.labels) == 2:
            second = answer["probability_positive"]
            return label, second if label == self.labels[1] else 1 - second
        return label, answer["probability"]
