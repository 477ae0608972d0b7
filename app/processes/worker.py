"""One process that answers requests: uvicorn's server, and the reports to its supervisor."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType

import uvicorn

from app.access.guard import Guard
from app.processes.sockets import accept_waiting
from app.processes.supervisor import HELD_SIGNALS, REPORT_SECONDS, State
from app.settings import Settings
from app.telemetry import logs

# After SIGTERM, a server still accepts connections for this long: load balancers need it to notice.
LAME_DUCK_SECONDS = 1.0
# Then it closes idle connections. The clients of the last ones may still be sending their first request, for this time
# at most.
FIRST_REQUEST_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_STARTING_REPORT_SECONDS = 0.05


class Server(uvicorn.Server):
    """Uvicorn's server. After SIGTERM it still accepts connections for a moment, so that no request is lost."""

    def __init__(self, config: uvicorn.Config, grace_seconds: float) -> None:
        """Take the configuration, and how long it may take to end."""
        super().__init__(config)
        self._grace_seconds = grace_seconds
        self._has_run = False  # the event loop, since the last report
        self._must_end_at = 0.0

    @property
    def state(self) -> State:
        """Whether it answers, and with all models that readiness needs."""
        if not self.started:
            return State.STARTING
        return State.READY if self.lifespan.state["is_ready"]() else State.UNREADY

    def has_run(self) -> bool:
        """Return whether the event loop has run since the last call, or has time: to load, or to end."""
        has_run, self._has_run = self._has_run, False
        return has_run or not self.started or time.monotonic() < self._must_end_at

    async def on_tick(self, counter: int) -> bool:
        """Note that the event loop runs: uvicorn calls this every 0.1 s, until the server is to end."""
        self._has_run = True
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM only: the supervisor handles the signals of a terminal."""
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Shut down; before it listens there is nothing to answer, and it ends at once."""
        if not self.started:
            os._exit(0)  # pragma: no cover
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Become unready at once, accept connections for a moment more, then finish the requests that have begun."""
        begun = asyncio.get_running_loop().time()
        self._must_end_at = time.monotonic() + self._grace_seconds
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
            listener.close()
        for server in self.servers:
            server.close()
        await self._wait_for_first_requests(begun)
        await super().shutdown(sockets)

    async def _wait_for_first_requests(self, since: float) -> None:
        """Wait until the connections that were made since then have had a request, for a limited time."""
        for _ in range(round(FIRST_REQUEST_SECONDS / _LOOK_SECONDS)):
            await asyncio.sleep(_LOOK_SECONDS)
            if not any(connection.awaits_first_request(since) for connection in self.server_state.connections):  # type: ignore[union-attr]
                return


def make_app(settings: Settings, guard: Guard | None) -> Callable[..., Awaitable[None]]:
    """Return the app, see `create_app`; only a process that answers imports it."""
    logs.configure(settings.log_level)  # the import makes the metrics, which log an error
    from app.http.app import create_app

    return create_app(settings, guard)


def run(config: uvicorn.Config, grace_seconds: float, listener: socket.socket, supervisor: Connection) -> None:
    """Answer requests on a bound socket until SIGTERM, or until the supervisor is gone."""
    for number in HELD_SIGNALS:  # the supervisor acts on them
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    server = Server(config, grace_seconds)
    threading.Thread(target=_report, args=[server, supervisor, grace_seconds], daemon=True).start()
    listener.setblocking(False)
    server.run([listener])


def _report(server: Server, supervisor: Connection, grace_seconds: float) -> None:
    """Report the state of the server again and again, unless it hangs; end this process when the supervisor is gone."""
    state = State.STARTING
    with suppress(OSError):
        # The supervisor sends nothing: there is something to read only when it has closed the connection.
        while not supervisor.poll(_STARTING_REPORT_SECONDS if state is State.STARTING else REPORT_SECONDS):
            if server.has_run():
                state = server.state
                supervisor.send(state)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os._exit(1)  # pragma: no cover
