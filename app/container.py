"""The limits of a container: its processor cores and its memory, by version 1 or 2 of Linux's control groups."""

import ctypes
import math
import os
from pathlib import Path

# The limit in bytes, and the count of processes that the kernel killed for memory.
MEMORY_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.events")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.oom_control")),
)
# Microseconds of processor time in each period, and the period; version 2 has both in one file.
PROCESSOR_FILES = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)


def count_processors() -> int:
    """Return the number of processor cores that this container may use, at least one."""
    cores = len(os.sched_getaffinity(0))
    for files in PROCESSOR_FILES:
        if all(file.exists() for file in files):
            quota, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
            # Without a limit the quota is "max", in version 1 it is -1.
            if quota.isdigit():
                return min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def read_memory_limit() -> int | None:
    """Return the limit of memory in bytes; None without a limit."""
    for limit, _ in MEMORY_FILES:
        if limit.exists():
            text = limit.read_text(encoding="ascii").strip()
            # Without a limit, version 1 has a huge number.
            return int(text) if text.isdigit() and int(text) < 2**60 else None
    return None


def count_memory_kills() -> int:
    """Return how often the kernel killed a process because there was no memory left."""
    for _, events in MEMORY_FILES:
        if events.exists():
            counts = dict(line.split() for line in events.read_text(encoding="ascii").splitlines())
            return int(counts.get("oom_kill", 0))
    return 0


def release_memory() -> None:
    """Return freed memory to the system. Otherwise the C library keeps what networks and their first runs have used."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)  # only glibc has it
    trim(0)
