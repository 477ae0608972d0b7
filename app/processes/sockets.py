"""Where the service listens: a TCP address or a Unix socket, held by the supervisor and opened for each worker."""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import SettingsError
from app.settings import PREFIX, Settings

# Every bound Unix socket of the machine; the last column is the path.
# Source: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
_UNIX_SOCKETS = Path("/proc/net/unix")

logger = logging.getLogger("app")


@dataclass(frozen=True)
class TcpAddress:
    """A TCP address. Each worker listens on a socket of its own, and Linux spreads connections evenly over them.

    With one socket for all, an idle worker accepts every connection that comes while the others compute, and keeps it:
    up to 60 of 64.
    """

    family: int
    address: Any  # as `getsockname` returns it

    def open(self) -> socket.socket:
        """Return a new socket on this address."""
        opened = socket.socket(self.family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(self.address)
        return opened

    def __str__(self) -> str:
        """Return the URL."""
        host, port, *_ = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True)
class UnixSocket:
    """A Unix socket. All workers share it, so a busy worker accepts fewer connections."""

    bound: socket.socket
    path: Path

    def open(self) -> socket.socket:
        """Return the socket, with a file descriptor of its own."""
        return self.bound.dup()

    def __str__(self) -> str:
        """Return the path."""
        return f"unix:{self.path}"


Address = TcpAddress | UnixSocket


def hold(settings: Settings) -> AbstractContextManager[Address]:
    """Hold the address of the settings, so that no second service can start on it.

    Raises:
        SettingsError: on entering, the address is in use, or the machine does not have it.
    """
    return _hold_path(settings.socket) if settings.socket else _hold_port(settings.host, settings.port)


async def accept_waiting(listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
    """Accept the connections that wait in the queue of a socket."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:  # the queue is empty
            return
        except ConnectionAbortedError:  # this client has gone
            continue
        except OSError as error:
            logger.error("cannot accept the connections that wait: %s", error)
            return
        await loop.connect_accepted_socket(make_protocol, connection)


@contextmanager
def _hold_port(host: str, port: int) -> Iterator[TcpAddress]:
    """Hold a port with a socket that does not listen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:  # fails if a process listens on the port or holds it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {_explain(error)}; choose a free address with --host and --port "
            f"({PREFIX}HOST, {PREFIX}PORT)"
        ) from error
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind(address)  # without SO_REUSEADDR: with it, the probe of a second service would not fail
        except OSError:
            # Connections of another program that has ended stay for a minute.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
        yield TcpAddress(family, held.getsockname())


@contextmanager
def _hold_path(path: Path) -> Iterator[UnixSocket]:
    """Hold a path with a socket, and remove it at the end; the socket of a process that was killed is replaced."""
    path = path.parent.resolve() / path.name
    with socket.socket(socket.AF_UNIX) as held:
        try:
            _remove_unused(path)
            held.bind(os.fspath(path))
            path.chmod(0o666)  # a proxy runs as another user; the rights of the folder decide who may connect
            identity = _identify(path)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {path}: {_explain(error)}; choose a free path with --socket ({PREFIX}SOCKET)"
            ) from error
        try:
            yield UnixSocket(held, path)
        finally:
            with suppress(OSError):
                if _identify(path) == identity:  # another service may have put its own there
                    path.unlink()


def _remove_unused(path: Path) -> None:
    """Remove a socket that no process has open.

    Raises:
        OSError: a process has it open, or the file is not a socket.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is not a socket")
        if _is_bound(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()


def _is_bound(path: Path) -> bool:
    """Return whether a process has a socket on a path open, even if it does not listen yet."""
    with suppress(OSError):
        sockets = (line.split(maxsplit=7) for line in _UNIX_SOCKETS.read_text(errors="replace").splitlines())
        if any(columns[7:] == [os.fspath(path)] for columns in sockets):
            return True
    # A process in another container listens, too, and is not in the list.
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED


def _identify(path: Path) -> tuple[int, int]:
    """Return the device and the inode of a file."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _explain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
