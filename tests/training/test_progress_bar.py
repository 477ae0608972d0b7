import io

import pytest
from rich.console import Console

from training.progress_bar import follow


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_bar_is_for_terminals(is_terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=80)
    assert list(follow(range(3), "Counting [it]", 3, console)) == [0, 1, 2]
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert (shown == "Counting [it]\n") is not is_terminal
    assert ("100%" in shown) is is_terminal
