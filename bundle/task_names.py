"""The names of the tasks: `bundle.tasks` has the tasks themselves, and imports all that codes texts."""

NEXT_LETTER_NAME = "next-letter"
SENTIMENT_NAME = "sentiment"
TASK_NAMES = (NEXT_LETTER_NAME, SENTIMENT_NAME)
