"""One process that answers requests: uvicorn's server, and what it tells its supervisor."""

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType

import uvicorn

from app.server import Protocol, accept_waiting
from app.supervisor import REPORT_SECONDS

# For this long after it was told to end, a server still answers whatever comes: balancers need it to notice.
LAME_DUCK_SECONDS = 1.0
_REPORT_SECONDS_BEFORE_READY = 0.05


class Server(uvicorn.Server):
    """Uvicorn's server. When it is asked to stop it answers for a moment more, so that no request is lost."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that it is to end; before it listens there is nothing to answer, and it ends at once."""
        if not self.started:
            os._exit(0)  # pragma: no cover
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: unready at once, open for a moment more, then only for what was begun."""
        self.lifespan.state["is_ending"] = True  # each answer closes its connection, and `/readyz` says so
        await asyncio.sleep(LAME_DUCK_SECONDS)
        for listener in sockets or []:
            await accept_waiting(listener, partial(Protocol, self.config, self.server_state, self.lifespan.state))
        await super().shutdown(sockets)


def run(config: uvicorn.Config, listener: socket.socket, grace_seconds: float, supervisor: Connection) -> None:
    """Answer requests until told to end, or until the supervisor is gone."""
    server = Server(config)
    threading.Thread(target=_report, args=[server, supervisor, grace_seconds], daemon=True).start()
    server.run([listener])


def _report(server: Server, supervisor: Connection, grace_seconds: float) -> None:
    """Report again and again whether the server is ready; end this process once nobody listens."""
    with suppress(OSError):
        while not supervisor.poll(REPORT_SECONDS if server.started else _REPORT_SECONDS_BEFORE_READY):
            supervisor.send(server.started)  # it never answers: what comes is the end of the connection
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os._exit(1)  # pragma: no cover
