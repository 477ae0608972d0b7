"""What a container may use of the machine, as Linux's control groups tell it, in either of their versions."""

import math
import os
from pathlib import Path

# The limit in bytes, and how often it was exceeded.
MEMORY_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.events")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.oom_control")),
)
# Microseconds of processors in each period, and the period; the newer version has both in one file.
PROCESSOR_FILES = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)


def count_processors() -> int:
    """Return how many processor cores there are to use, at least one."""
    cores = len(os.sched_getaffinity(0))
    for files in PROCESSOR_FILES:
        if all(file.exists() for file in files):
            quota, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
            # Without a limit the quota is "max", in the older version -1.
            if quota.isdigit():
                return min(cores, max(1, math.ceil(int(quota) / int(period))))
    return cores


def read_memory() -> tuple[str, int]:
    """Return the limit of memory, in words, and how often the kernel killed a process for more."""
    for limit, events in MEMORY_FILES:
        if limit.exists() and events.exists():
            text = limit.read_text(encoding="ascii").strip()
            is_limited = text.isdigit() and int(text) < 2**60  # the older version has a huge number for none
            counts = dict(line.split() for line in events.read_text(encoding="ascii").splitlines())
            return f"{int(text) >> 20:,} MiB" if is_limited else "that of the machine", int(counts.get("oom_kill", 0))
    return "that of the machine", 0
