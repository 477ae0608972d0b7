"""A progress bar on a terminal; in pipes and logs, a line."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_Item = TypeVar("_Item")


def follow(items: Iterable[_Item], what: str, total: int, console: Console) -> Iterator[_Item]:
    """Yield items, and show how many of them are done."""
    if console.is_terminal:
        yield from track(items, what, total, console=console)
    else:
        console.print(what, markup=False, highlight=False, soft_wrap=True)
        yield from items
