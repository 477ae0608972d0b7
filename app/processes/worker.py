"""One process that answers requests: uvicorn's server, and the reports to its supervisor."""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType

import uvicorn

from app.processes.sockets import Address, accept_waiting
from app.processes.supervisor import HELD_SIGNALS, REPORT_SECONDS, State
from app.settings import Settings

# After SIGTERM, a server still accepts connections for this long: load balancers need it to notice.
LAME_DUCK_SECONDS = 1.0
_STARTING_REPORT_SECONDS = 0.05

logger = logging.getLogger("app")


class Server(uvicorn.Server):
    """Uvicorn's server. After SIGTERM it still accepts connections for a moment, so that no request is lost."""

    @property
    def state(self) -> State:
        """Whether it answers, and with all models that readiness needs."""
        if not self.started:
            return State.STARTING
        return State.READY if self.lifespan.state["is_ready"]() else State.UNREADY

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down; before it listens there is nothing to answer, and it ends at once."""
        if not self.started:
            os._exit(0)  # pragma: no cover
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Become unready at once, accept connections for a moment more, then finish the requests that have begun."""
        self.lifespan.state["is_ending"] = True  # each answer closes its connection, and `/readyz` answers 503
        await asyncio.sleep(LAME_DUCK_SECONDS)
        make_protocol = partial(
            self.config.http_protocol_class,  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for listener in sockets or []:
            await accept_waiting(listener, make_protocol)
        await super().shutdown(sockets)


class OnlyServer(Server):
    """The server of a service with one process, which has no supervisor: it logs its state itself."""

    def __init__(self, config: uvicorn.Config, remove_file: Callable[[], None]) -> None:
        """Take what removes the file of the socket if the process ends at once."""
        super().__init__(config)
        self._remove_file = remove_file
        self._made_at = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the models, listen, and log that the service is ready."""
        await super().startup(sockets)
        if self.state is State.READY:
            seconds = round(time.monotonic() - self._made_at, 3)
            logger.info("the service is ready", extra={"workers": 1, "seconds": seconds})
        else:
            logger.warning("the service answers, but it is not ready; the lines above have the reason")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down, and leave no file behind."""
        if not self.started:
            self._remove_file()  # pragma: no cover
        super().handle_exit(sig, frame)


def make_app(settings: Settings) -> Callable[..., Awaitable[None]]:
    """Return the app; only a process that answers imports it."""
    from app.http.app import create_app

    return create_app(settings)


def run(config: uvicorn.Config, address: Address, grace_seconds: float, supervisor: Connection) -> None:
    """Answer requests until SIGTERM, or until the supervisor is gone."""
    for number in HELD_SIGNALS:  # the supervisor acts on them
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    server = Server(config)
    threading.Thread(target=_report, args=[server, supervisor, grace_seconds], daemon=True).start()
    server.run([address.open()])


def _report(server: Server, supervisor: Connection, grace_seconds: float) -> None:
    """Report the state of the server again and again; end this process when the supervisor is gone."""
    with suppress(OSError):
        # The supervisor sends nothing: there is something to read only when it has closed the connection.
        while not supervisor.poll(REPORT_SECONDS if server.started else _STARTING_REPORT_SECONDS):
            supervisor.send(server.state)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os._exit(1)  # pragma: no cover
