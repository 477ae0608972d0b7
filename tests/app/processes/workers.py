"""What workers run in the tests of their supervisor, each in a process of its own; and an app for real workers."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from app.processes.sockets import Address
from app.processes.supervisor import State

if TYPE_CHECKING:
    from fastapi import FastAPI

SECONDS = 60  # longer than any test
STATUS = 7  # of a worker that fails


def report_state(supervisor: Connection, state: State = State.READY) -> None:
    """Report a state until the supervisor is gone."""
    while not supervisor.poll(0.02):
        supervisor.send(state)


def report(_: socket.socket, supervisor: Connection) -> None:
    """Be ready."""
    report_state(supervisor)


def report_starting(_: socket.socket, supervisor: Connection) -> None:
    """Report, but never that it answers."""
    report_state(supervisor, State.STARTING)


def report_unready(_: socket.socket, supervisor: Connection) -> None:
    """Answer, but never be ready."""
    report_state(supervisor, State.UNREADY)


def fail(*_: object) -> None:
    """Fail before it answers."""
    sys.exit(STATUS)


def fail_when_ready(_: socket.socket, supervisor: Connection) -> None:
    """Fail once ready."""
    supervisor.send(State.READY)
    sys.exit(STATUS)


def fail_if(path: Path, _: socket.socket, supervisor: Connection) -> None:
    """Be ready, or fail if there is a file."""
    if path.exists():
        sys.exit(STATUS)
    report_state(supervisor)


def report_when(path: Path, _: socket.socket, supervisor: Connection) -> None:
    """Be ready as soon as there is a file."""
    while not path.exists() and not supervisor.poll(0.02):
        supervisor.send(State.STARTING)
    report_state(supervisor)


def end_once(path: Path, _: socket.socket, supervisor: Connection) -> None:
    """End with status 0 before it answers, but only the first time."""
    if not path.exists():
        path.touch()
        sys.exit(0)
    report_state(supervisor)


def report_unready_if(path: Path, _: socket.socket, supervisor: Connection) -> None:
    """Be ready, or only answer if there is a file."""
    report_state(supervisor, State.UNREADY if path.exists() else State.READY)


def refuse_to_end(_: socket.socket, supervisor: Connection) -> None:
    """Be ready, and ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report_state(supervisor)


def fall_silent(_: socket.socket, supervisor: Connection) -> None:
    """Be ready, and report nothing after that."""
    supervisor.send(State.READY)
    time.sleep(SECONDS)


def starve(core: int, _: socket.socket, supervisor: Connection) -> None:
    """Be ready, and compute after that, on one core and only when nothing else needs it."""
    supervisor.send(State.READY)
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pass


def accept_once(address: Address) -> None:
    """Send a byte to the first client."""
    with address.open() as listener:
        listener.setblocking(True)
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            connection.send(b"x")


def make_app(is_ready: bool = True) -> "FastAPI":
    """Return an app that is ready or not. Its routes take some seconds, with or without the event loop."""
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Callable[[], bool]]]:
        yield {"is_ready": lambda: is_ready}

    app = FastAPI(lifespan=lifespan)

    @app.get("/block")
    async def block(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    @app.get("/wait")
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    return app


def make_config(is_ready: bool = True) -> uvicorn.Config:
    """Return the configuration of a server of that app."""
    return uvicorn.Config(
        partial(make_app, is_ready), factory=True, http="app.http.protocol:Protocol", ws="none", log_config=None
    )
