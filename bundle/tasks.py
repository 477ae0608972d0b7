"""The tasks that a bundle can have. A new task is a module beside `letters.py`, a name and an entry in `TASKS`."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bundle.codec import Preprocessing
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewPreprocessing, WordCoding
from bundle.symbols import SymbolCodec
from bundle.task_names import NEXT_LETTER_NAME, SENTIMENT_NAME

# More labels are in most cases a column of ids or texts that was taken for the labels. An answer has the probability
# of each label, and a card has a line and a column for each, so both stay readable up to here.
MOST_LABELS = 50
MOST_LABEL_CHARACTERS = 100
UNCERTAIN = "uncertain"  # what the service answers in place of a label
POSITIVE = "positive"

_CONTROLS = ("Cc", "Zl", "Zp")  # categories of Unicode; a label stands in one line


@dataclass(frozen=True)
class Task:
    """The question that a network answers.

    Attributes:
        name: as in a manifest; the bundle with this name is the default model of the task.
        labels: classes of a bundle by network output: see `count_outputs`. A section may decide others.
        preprocessing: the section of the manifest that describes how inputs become rows.
        further: other sections that a bundle may have in its place.
        has_free_labels: whether a bundle may have other labels than these: see `check_labels`.
    """

    name: str
    labels: tuple[str, ...]
    preprocessing: type[Preprocessing]
    has_free_labels: bool = False
    further: tuple[type[Preprocessing], ...] = ()

    @property
    def sections(self) -> tuple[type[Preprocessing], ...]:
        """The sections that a manifest may have."""
        return (self.preprocessing, *self.further)


def count_outputs(labels: Sequence[str]) -> int:
    """Return the number of outputs of a network for one row.

    Two classes share one output, the probability of the second. More classes have one output each, the probability of
    the class, in the order of the labels.
    """
    return 1 if len(labels) == 2 else len(labels)


def check_labels(labels: Sequence[str]) -> None:
    """Return if a bundle can have these labels.

    Raises:
        ValueError: there are too few or too many, or a label is repeated, empty, too long, more than one line, or
            the word that the service answers in place of a label; or `positive` is the first of two.
    """
    if not 2 <= len(labels) <= MOST_LABELS:
        raise ValueError(
            f"there are {len(labels)} labels, and a bundle has 2 to {MOST_LABELS}; check that the column of the labels "
            "has classes, not ids or texts"
        )
    seen: set[str] = set()
    for label in labels:
        name = label.strip()
        shown = repr(label[:MOST_LABEL_CHARACTERS])
        if not name:
            raise ValueError(f"the label {shown} is empty; give it a name")
        if len(label) > MOST_LABEL_CHARACTERS:
            raise ValueError(
                f"the label {shown} has {len(label)} characters, at most {MOST_LABEL_CHARACTERS} are allowed"
            )
        if any(unicodedata.category(character) in _CONTROLS for character in label):
            raise ValueError(f"the label {shown} has a control character or a line break; remove it")
        if name == UNCERTAIN:
            raise ValueError(f"the label {shown} is what the service answers if no label is probable enough; rename it")
        if name in seen:
            raise ValueError(f"the label {shown} occurs twice; labels differ in more than spaces around them")
        seen.add(name)
    if len(labels) == 2 and labels[0] == POSITIVE:
        raise ValueError(
            f"of two labels {POSITIVE!r} is the second, because the field probability_{POSITIVE} of an answer is the "
            "probability of the second; exchange the labels if the network answers with that, or rename them"
        )


NEXT_LETTER = Task(NEXT_LETTER_NAME, tuple(ALPHABET), LetterCodec, further=(SymbolCodec,))
SENTIMENT = Task(
    SENTIMENT_NAME, ("negative", POSITIVE), ReviewPreprocessing, has_free_labels=True, further=(WordCoding,)
)

TASKS = {task.name: task for task in (NEXT_LETTER, SENTIMENT)}
