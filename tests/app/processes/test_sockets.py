"""Where the service listens, with sockets of this process and with real services."""

import asyncio
import errno
import multiprocessing
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import SettingsError
from app.processes.sockets import TcpAddress, UnixSocket, accept_waiting, hold
from app.settings import Settings
from benchmarks.servers import find_free_port
from tests.app.processes import workers
from tests.app.processes.commands import ask_file, fail_command, run_command
from tests.app.service import Service
from tests.conftest import SECONDS

CONNECTIONS = 64


def count_sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(descriptor).startswith("socket:")
        except FileNotFoundError:
            pass  # it was closed meanwhile
    return count


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def wait_for_file(service: Service, path: Path) -> None:
    service.wait_until(lambda: listens(path))


# ---- TCP


def test_an_address_is_shown_as_a_url() -> None:
    assert str(TcpAddress(socket.AF_INET, ("127.0.0.1", 8000))) == "http://127.0.0.1:8000"
    assert str(TcpAddress(socket.AF_INET6, ("::1", 8000, 0, 0))) == "http://[::1]:8000"


@pytest.mark.parametrize("state", ["listens", "holds"])
def test_a_port_in_use_is_refused(state: str) -> None:
    port = find_free_port()
    expected = f"^cannot listen on 127.0.0.1 port {port}: Address already in use; choose a free address with --host and"
    with hold(Settings(port=port)) as address, address.open() as listener:
        if state == "listens":
            listener.listen()
        else:
            listener.close()
        with pytest.raises(SettingsError, match=expected), hold(Settings(port=port)):
            pass
    with hold(Settings(port=port)):  # which is free again
        pass


def test_a_port_that_another_program_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(SettingsError, match="Address already in use"), hold(Settings(port=other.getsockname()[1])):
            pass


def leave_connection(listener: socket.socket) -> None:
    """Close a connection on the server's side first: it stays in the state TIME_WAIT."""
    with socket.create_connection(listener.getsockname()) as client:
        listener.accept()[0].close()
        assert client.recv(1) == b""


def test_old_connections_of_another_program_do_not_matter() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        leave_connection(other)
    with hold(Settings(port=port)) as address, address.open() as listener:
        listener.listen()


def test_old_connections_of_an_earlier_service_do_not_matter() -> None:
    port = find_free_port()
    for _ in range(2):
        with hold(Settings(port=port)) as address, address.open() as listener:
            listener.listen()
            listener.setblocking(True)
            leave_connection(listener)


@pytest.mark.parametrize(("host", "why"), [("192.0.2.1", "Cannot assign requested address"), ("a..b", "label empty")])
def test_an_address_that_the_machine_does_not_have_is_refused(host: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host} port 8000: .*{why}.*; choose a free address"):
        with hold(Settings(host=host)):
            pass


def test_several_sockets_listen_on_one_port() -> None:
    with hold(Settings(port=find_free_port())) as address, address.open() as one, address.open() as other:
        assert one.getsockname() == other.getsockname()
        one.listen()
        other.listen()


def test_two_services_do_not_start_on_one_port(tmp_path: Path) -> None:
    port = find_free_port()
    with run_command(tmp_path / "log", "--port", port, "--workers", 2) as service:
        service.wait_for("starting")
        assert fail_command("--port", port) == (
            f"error: cannot listen on 127.0.0.1 port {port}: Address already in use; choose a free address with --host "
            "and --port (LSTM_SERVE_HOST, LSTM_SERVE_PORT)\n"
        )


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_answers_on_an_ipv6_address(tmp_path: Path) -> None:
    port = find_free_port()
    with run_command(tmp_path / "log", "--host", "[::1]", "--port", port, "--workers", 2) as service:
        service.wait_for("the service is ready")
        (starting,) = (line for line in service.lines() if line["message"] == "starting")
        assert starting["address"] == f"http://[::1]:{port}"
        assert httpx.get(f"http://[::1]:{port}/livez").status_code == 200


def test_connections_spread_evenly_over_two_workers(tmp_path: Path, empty_models: Path) -> None:
    port = find_free_port()
    with run_command(tmp_path / "log", "--port", port, "--workers", 2, "--models", empty_models) as service:
        service.wait_until(lambda: service.count("a worker answers, but it is not ready") == 2)
        pids = service.workers()
        before = [count_sockets(pid) for pid in pids]
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

        def accepted() -> list[int]:
            return [count_sockets(pid) - count for pid, count in zip(pids, before, strict=True)]

        service.wait_until(lambda: sum(accepted()) == CONNECTIONS)
        # Of a fair choice, fewer than 12 would come once in four million times.
        assert min(accepted()) >= 12
        for connection in connections:
            connection.close()


class Greeting(asyncio.Protocol):
    """Sends a byte and closes the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"x")
        transport.close()


class Aborting(socket.socket):
    """A listener whose first client has gone."""

    has_gone = False

    def accept(self) -> tuple[socket.socket, Any]:
        if not self.has_gone:
            self.has_gone = True
            raise ConnectionAbortedError
        return super().accept()


@pytest.mark.parametrize("kind", [socket.socket, Aborting])
def test_connections_that_wait_in_the_queue_are_accepted(kind: type[socket.socket]) -> None:
    async def accept(listener: socket.socket) -> None:
        await accept_waiting(listener, Greeting)
        await asyncio.sleep(0)  # the loop closes them

    with hold(Settings(port=find_free_port())) as address, kind(fileno=address.open().detach()) as listener:
        listener.setblocking(False)
        listener.listen()
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        asyncio.run(accept(listener))
        for client in clients:
            with client:
                assert client.recv(1) == b"x"


def test_it_is_logged_that_waiting_connections_cannot_be_accepted(count: Callable[[str], int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def accept(listener: socket.socket) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await accept_waiting(listener, Greeting)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with hold(Settings(port=find_free_port())) as address, address.open() as listener:
        listener.setblocking(False)
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            asyncio.run(accept(listener))
    assert count("cannot accept the connections that wait: [Errno 24] Too many open files") == 1


# ---- A Unix socket


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with hold(Settings(socket=path)) as address:
        assert str(address) == f"unix:{path}"
        with address.open() as listener:
            listener.listen()
            assert listens(path)
    assert not path.exists()


@pytest.mark.parametrize("does_listen", [False, True])
def test_a_socket_in_use_is_refused(tmp_path: Path, does_listen: bool) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        if does_listen:
            other.listen()
        expected = f"cannot listen on {path}: Address already in use; choose a free path with --socket"
        with pytest.raises(SettingsError, match=expected), hold(Settings(socket=path)):
            pass
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_not_a_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "socket"
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(tmp_path / "other"))
        path.symlink_to(tmp_path / "other")
    before = path.lstat()
    with pytest.raises(SettingsError, match="there is a file that is not a socket"), hold(Settings(socket=path)):
        pass
    assert path.lstat() == before


def test_a_file_that_has_taken_the_place_of_the_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with hold(Settings(socket=path)):
        path.unlink()
        path.touch()
    assert path.is_file()


@pytest.mark.parametrize(
    ("name", "why"), [("no-folder/socket", os.strerror(errno.ENOENT)), ("s" * 200, "AF_UNIX path too long")]
)
def test_a_path_that_cannot_be_bound_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on .*{name}: {why}; choose a free path with --socket"):
        with hold(Settings(socket=tmp_path / name)):
            pass


def test_the_socket_of_a_file_goes_to_another_process(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with hold(Settings(socket=path)) as address:
        assert isinstance(address, UnixSocket)
        process = multiprocessing.get_context("spawn").Process(target=workers.accept_once, args=[address])
        process.start()
        with socket.socket(socket.AF_UNIX) as client:
            end = time.monotonic() + SECONDS
            while client.connect_ex(str(path)):
                assert time.monotonic() < end
                time.sleep(0.02)
            assert client.recv(1) == b"x"
        process.join(SECONDS)


@pytest.mark.parametrize("count", [1, 2])
def test_a_service_answers_on_a_unix_socket_and_removes_it(tmp_path: Path, empty_models: Path, count: int) -> None:
    path = tmp_path / "socket"
    options = ["--socket", path, "--workers", count, "--models", empty_models]
    with run_command(tmp_path / "log", *options) as service:
        service.wait_for("starting")
        assert "Address already in use" in fail_command("--socket", path)
        wait_for_file(service, path)
        assert ask_file(path, "/livez").status_code == 200
        assert path.stat().st_mode & 0o777 == 0o666
        assert "Address already in use" in fail_command("--socket", path)
    assert not path.exists()


def test_a_killed_service_can_start_again_on_its_socket(tmp_path: Path, empty_models: Path) -> None:
    path = tmp_path / "socket"
    options = ["--socket", path, "--workers", 1, "--models", empty_models]
    with run_command(tmp_path / "log", *options) as service:
        wait_for_file(service, path)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(SECONDS)
    end = time.monotonic() + SECONDS
    while listens(path):  # until the worker has ended, too
        assert time.monotonic() < end
        time.sleep(0.02)
    assert path.is_socket()
    with run_command(tmp_path / "again", *options) as service:
        wait_for_file(service, path)
        assert ask_file(path, "/livez").status_code == 200
    assert not path.exists()


@pytest.mark.parametrize("count", [1, 2])
def test_a_service_that_ends_before_it_listens_removes_its_socket(tmp_path: Path, count: int) -> None:
    path = tmp_path / "socket"
    with run_command(tmp_path / "log", "--socket", path, "--workers", count) as service:
        service.wait_for("Waiting for application startup.")
        assert path.is_socket()
    assert not path.exists()
