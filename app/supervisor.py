"""Several processes of the service, and what is said when memory runs out and the kernel kills one of them."""

import logging
from pathlib import Path

from uvicorn.supervisors import Multiprocess

# A container's limit in bytes, and how often it was exceeded, in the two versions of Linux's control groups.
MEMORY_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.events")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.oom_control")),
)

logger = logging.getLogger("app")


class Supervisor(Multiprocess):
    """Starts the processes again that end by themselves, as uvicorn's, and says so if memory had run out."""

    _kills = 0

    def keep_subprocess_alive(self) -> None:
        """Look after the processes."""
        for process in self.processes:
            process.child_conn.close()  # the child's end: left open here, uvicorn waits a minute for one that is gone
        super().keep_subprocess_alive()
        limit, kills = read_memory()
        if kills > self._kills:
            self._kills = kills
            logger.error(
                "memory ran out and a process was killed: the limit is %s; allow more, or set LSTM_SERVE_WORKERS to "
                "fewer processes",
                limit,
            )


def read_memory() -> tuple[str, int]:
    """Return a container's limit of memory, in words, and how often the kernel killed a process of it for more."""
    for limit, events in MEMORY_FILES:
        if limit.exists() and events.exists():
            text = limit.read_text(encoding="ascii").strip()
            is_limited = text.isdigit() and int(text) < 2**60  # the older version has a huge number for none
            counts = dict(line.split() for line in events.read_text(encoding="ascii").splitlines())
            return f"{int(text) >> 20:,} MiB" if is_limited else "that of the machine", int(counts.get("oom_kill", 0))
    return "that of the machine", 0
