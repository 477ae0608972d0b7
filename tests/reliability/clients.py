"""A client of a service that sends any bytes and shows every byte of the answers."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from tests.conftest import SECONDS

LIVE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    """One answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the last one on its connection."""
        return self.headers.get("connection") == "close"

    def problem(self, kind: str) -> dict[str, Any]:
        """Return its problem document, which is of a kind."""
        assert self.headers["content-type"] == PROBLEM_TYPE
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["type"] == f"tag:lstm-serve,2026:{kind}" and problem["status"] == self.status
        return problem


class Connection:
    """A connection on which a test sends bytes and reads answers, each within `SECONDS`."""

    def __init__(self, port: int, seconds: float = SECONDS) -> None:
        """Connect to a port of this machine."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        """Use the connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Send bytes; return whether the service still takes them."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read(self, *, has_body: bool = True) -> Answer | None:
        """Return the next answer; None if the service has closed the connection before a whole one."""
        try:
            status, headers = self._read_head()
            body = self._file.read(int(headers.get("content-length", 0)) if has_body and status != 204 else 0)
        except (EOFError, ConnectionResetError):
            return None
        return Answer(status, headers, body)

    def ask(self, data: bytes) -> Answer:
        """Send a request and return its answer."""
        self.send(data)
        answer = self.read()
        assert answer is not None
        return answer

    def read_end(self) -> bytes:
        """Return what comes before the service closes the connection."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def _read_head(self) -> tuple[int, dict[str, str]]:
        first = self._read_line()
        assert first.startswith("HTTP/1.1 "), first
        headers = (line.partition(": ") for line in iter(self._read_line, ""))
        return int(first.split()[1]), {name.lower(): value for name, _, value in headers}

    def _read_line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2].decode("latin-1")


def make_request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request; a body gets its length."""
    length = [f"content-length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *headers, *length, "\r\n"]).encode() + body


def make_chunked(parts: list[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a body, and its end."""
    for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"
