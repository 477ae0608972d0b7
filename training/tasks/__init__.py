"""The tasks of training. A new task is a module here and an entry in `TRAINED`, with recipes in `recipes`."""

from typing import Any

from bundle.codec import Codec
from training.tasks.base import TrainedTask
from training.tasks.next_letter import NextLetter
from training.tasks.sentiment import Sentiment

TRAINED: dict[str, TrainedTask[Any, Any]] = {trained.task.name: trained for trained in (NextLetter(), Sentiment())}


def find_task(codec: Codec) -> TrainedTask[Any, Any]:
    """Return the task whose inputs a codec reads."""
    return next(each for each in TRAINED.values() if isinstance(codec.preprocessing, each.task.sections))
