"""Several processes of the service, and what is said when memory runs out and the kernel kills one of them."""

import logging
from typing import Any

from uvicorn.supervisors import Multiprocess

from app.limits import read_memory

logger = logging.getLogger("app")


class Supervisor(Multiprocess):
    """Starts the processes again that end by themselves, as uvicorn's, and says so if memory had run out."""

    def __init__(self, *arguments: Any) -> None:
        """Take what uvicorn's takes."""
        super().__init__(*arguments)
        self._kills = read_memory()[1]  # of this container, before there was anything of the service in it

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
