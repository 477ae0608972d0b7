"""What workers run in the tests of their supervisor, each in a process of its own."""

import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from app.processes.sockets import Address
from app.processes.supervisor import State

SECONDS = 60  # longer than any test
STATUS = 7  # of a worker that fails


def report(supervisor: Connection, state: State = State.READY) -> None:
    """Report a state until the supervisor is gone."""
    while not supervisor.poll(0.02):
        supervisor.send(state)


def report_starting(supervisor: Connection) -> None:
    """Report, but never that it answers."""
    report(supervisor, State.STARTING)


def report_unready(supervisor: Connection) -> None:
    """Answer, but never be ready."""
    report(supervisor, State.UNREADY)


def fail(_: Connection) -> None:
    """Fail before it answers."""
    sys.exit(STATUS)


def fail_when_ready(supervisor: Connection) -> None:
    """Fail once ready."""
    supervisor.send(State.READY)
    sys.exit(STATUS)


def fail_if(path: Path, supervisor: Connection) -> None:
    """Be ready, or fail if there is a file."""
    if path.exists():
        sys.exit(STATUS)
    report(supervisor)


def report_unready_if(path: Path, supervisor: Connection) -> None:
    """Be ready, or only answer if there is a file."""
    report(supervisor, State.UNREADY if path.exists() else State.READY)


def refuse_to_end(supervisor: Connection) -> None:
    """Be ready, and ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(supervisor)


def fall_silent(supervisor: Connection) -> None:
    """Be ready, and report nothing after that."""
    supervisor.send(State.READY)
    time.sleep(SECONDS)


def accept_once(address: Address) -> None:
    """Send a byte to the first client."""
    with address.open() as listener:
        listener.setblocking(True)
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            connection.send(b"x")
