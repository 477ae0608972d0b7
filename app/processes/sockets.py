"""Where the service listens: a TCP port or a Unix socket, held by one process and opened by each worker."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import SettingsError
from app.settings import PREFIX, Settings

# Every bound Unix socket of the machine; the last column is the path.
# Source: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
_UNIX_SOCKETS = Path("/proc/net/unix")


@dataclass(frozen=True)
class Port:
    """A TCP port. Each process listens on a socket of its own, and Linux spreads connections evenly over them.

    With one socket for all, an idle process accepts every connection that comes while the others compute, and keeps
    it: of 64, up to 60.
    """

    family: int
    address: Any  # as `getsockname` returns it

    def open(self) -> socket.socket:
        """Return a new socket on this port."""
        opened = socket.socket(self.family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(self.address)
        opened.setblocking(False)
        return opened

    def remove(self) -> None:
        """Do nothing: a port leaves no file."""

    def __str__(self) -> str:
        """Return the URL."""
        host, port, *_ = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@dataclass(frozen=True)
class File:
    """A Unix socket. All processes share it, so a busy process accepts fewer connections."""

    bound: socket.socket
    path: Path
    identity: tuple[int, int]  # device and inode

    def open(self) -> socket.socket:
        """Return the socket."""
        return self.bound

    def remove(self) -> None:
        """Remove the file, unless another one has taken its place."""
        with suppress(OSError):
            if _identify(self.path) == self.identity:
                self.path.unlink()

    def __str__(self) -> str:
        """Return the path."""
        return f"unix:{self.path}"


Address = Port | File


@contextmanager
def hold(settings: Settings) -> Iterator[Address]:
    """Hold the address of the settings, so that no second service can start on it.

    Raises:
        SettingsError: the address is in use, or the machine does not have it.
    """
    held, address = _bind_path(settings.socket) if settings.socket else _bind_port(settings.host, settings.port)
    try:
        yield address
    finally:
        address.remove()
        held.close()


async def accept_waiting(listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
    """Accept the connections that wait in the queue of a socket."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):  # the queue is empty
        while True:
            connection, _ = listener.accept()
            await loop.connect_accepted_socket(make_protocol, connection)


def _bind_port(host: str, port: int) -> tuple[socket.socket, Port]:
    """Return a socket that holds a port without listening."""
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
    held = socket.socket(family)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind(address)  # without SO_REUSEADDR: with it, the probe of a second service would not fail
    except OSError:
        # Connections of another program that has ended stay for a minute.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
    return held, Port(family, held.getsockname())


def _bind_path(path: Path) -> tuple[socket.socket, File]:
    """Return a socket on a path; the socket of a process that was killed is replaced."""
    path = path.parent.resolve() / path.name
    held = socket.socket(socket.AF_UNIX)
    try:
        _remove_unused(path)
        held.bind(os.fspath(path))
        path.chmod(0o666)  # a proxy runs as another user; the rights of the folder decide who may connect
        identity = _identify(path)
    except OSError as error:
        held.close()
        raise SettingsError(
            f"cannot listen on {path}: {_explain(error)}; choose a free path with --socket ({PREFIX}SOCKET)"
        ) from error
    held.setblocking(False)
    return held, File(held, path, identity)


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
    """Return whether a process has a socket on a path open; it need not listen yet."""
    with suppress(OSError):
        sockets = (line.split(maxsplit=7) for line in _UNIX_SOCKETS.read_text(errors="replace").splitlines())
        if any(columns[7:] == [os.fspath(path)] for columns in sockets):
            return True
    # A process in another container listens, too, and is not in the list.
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(path)) != errno.ECONNREFUSED


def _identify(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _explain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
