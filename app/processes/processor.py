"""Whether a process waits for a processor, and how much of its time it has had: by what Linux knows of it."""

import os
from pathlib import Path
from typing import NamedTuple

# Of a thread that runs, waits for a processor, or waits for a disk, such as for memory that was swapped out.
# Source of the states and fields: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_BUSY = frozenset("RD")
_USER_TICKS = 11  # among the fields after the name of the program
_SYSTEM_TICKS = 12
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Use(NamedTuple):
    """What a process has had of the processors.

    Attributes:
        seconds: that all its threads have run.
        is_busy: whether a thread of it runs, or would if the machine let it.
    """

    seconds: float
    is_busy: bool


def read_use(pid: int) -> Use | None:
    """Return what a process has had of the processors; None if the system does not say."""
    folder = Path("/proc") / str(pid)
    try:
        state, *fields = _read_fields(folder / "stat")
        ticks = int(fields[_USER_TICKS - 1]) + int(fields[_SYSTEM_TICKS - 1])
        is_busy = state in _BUSY or any(_read_fields(each / "stat")[0] in _BUSY for each in (folder / "task").iterdir())
    except OSError:  # it has ended, or a thread of it
        return None
    return Use(ticks / _TICKS_PER_SECOND, is_busy)


def _read_fields(path: Path) -> list[str]:
    """Return the fields after the name of the program, which may have any characters."""
    return path.read_text(errors="replace").rpartition(")")[2].split()
