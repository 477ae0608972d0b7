"""The tasks that a bundle can have. A new task is a module beside `letters.py` and an entry in `TASKS`."""

from collections.abc import Sequence
from dataclasses import dataclass

from bundle.codec import Preprocessing
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewPreprocessing
from bundle.symbols import SymbolCodec


@dataclass(frozen=True)
class Task:
    """The question that a network answers.

    Attributes:
        name: as in a manifest; the bundle with this name is the default model of the task.
        labels: classes by network output: see `count_outputs`. A section of the manifest may decide others.
        preprocessing: the kinds of the section of the manifest that describes how inputs become rows.
    """

    name: str
    labels: tuple[str, ...]
    preprocessing: tuple[type[Preprocessing], ...]


def count_outputs(labels: Sequence[str]) -> int:
    """Return the number of outputs of a network for one row.

    Two classes share one output, the probability of the second. More classes have one output each, the probability of
    the class, in the order of the labels.
    """
    return 1 if len(labels) == 2 else len(labels)


NEXT_LETTER = Task("next-letter", tuple(ALPHABET), (LetterCodec, SymbolCodec))
SENTIMENT = Task("sentiment", ("negative", "positive"), (ReviewPreprocessing,))

TASKS = {task.name: task for task in (NEXT_LETTER, SENTIMENT)}
