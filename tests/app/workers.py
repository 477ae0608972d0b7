"""What workers run in the tests of their supervisor, each in a process of its own."""

import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

SECONDS = 60  # longer than any test
STATUS = 7  # with which those end that fail


def report(supervisor: Connection) -> None:
    """Be ready until the supervisor is gone."""
    while not supervisor.poll(0.02):
        supervisor.send(True)


def fail(_: Connection) -> None:
    """Fail before being ready."""
    sys.exit(STATUS)


def fail_when_ready(supervisor: Connection) -> None:
    """Fail once ready."""
    supervisor.send(True)
    sys.exit(STATUS)


def report_unless(path: Path, supervisor: Connection) -> None:
    """Be ready, or fail if there is a file."""
    if path.exists():
        sys.exit(STATUS)
    report(supervisor)


def refuse_to_end(supervisor: Connection) -> None:
    """Be ready, and ignore that it is to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(supervisor)


def fall_silent(supervisor: Connection) -> None:
    """Be ready, and report nothing after that."""
    supervisor.send(True)
    time.sleep(SECONDS)


def never_be_ready(supervisor: Connection) -> None:
    """Report, but never that it is ready."""
    while not supervisor.poll(0.02):
        supervisor.send(False)
