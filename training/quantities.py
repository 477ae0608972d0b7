"""Counts and times in messages."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 epoch` or `2,000 epochs`."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def describe_time(seconds: float) -> str:
    """Return a time as `90 s` or `2 min`."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
