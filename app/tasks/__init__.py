"""The tasks of the service, free of HTTP. A new task is a module here and an entry in `SERVED`."""

from app.tasks.base import ServedTask
from app.tasks.next_letter import NextLetter
from app.tasks.sentiment import Sentiment

SERVED: dict[str, ServedTask] = {served.task.name: served for served in (Sentiment(), NextLetter())}
