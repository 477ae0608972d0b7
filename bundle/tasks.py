"""The tasks that a bundle can have. A new task is a module beside `letters.py` and an entry in `TASKS`."""

from dataclasses import dataclass

from bundle.codec import Preprocessing
from bundle.letters import ALPHABET, LetterCodec
from bundle.reviews import ReviewPreprocessing


@dataclass(frozen=True)
class Task:
    """The question that a network answers.

    Attributes:
        name: as in a manifest; the bundle with this name is the default model of the task.
        labels: classes by network output. Two classes share one output, the probability of the second.
        preprocessing: the section of the manifest that describes how inputs become rows.
    """

    name: str
    labels: tuple[str, ...]
    preprocessing: type[Preprocessing]

    @property
    def outputs(self) -> int:
        """Number of outputs of a network for one row."""
        return 1 if len(self.labels) == 2 else len(self.labels)


NEXT_LETTER = Task("next-letter", tuple(ALPHABET), LetterCodec)
SENTIMENT = Task("sentiment", ("negative", "positive"), ReviewPreprocessing)

TASKS = {task.name: task for task in (NEXT_LETTER, SENTIMENT)}
