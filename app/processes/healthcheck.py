"""`python -m app.processes.healthcheck`: ask the service in this container whether it is ready.

It imports only what loads fast, as Docker runs it every few seconds.
"""

import http.client
import os
import socket
import sys

SECONDS = 4


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        """Take the path of the socket."""
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connect() -> http.client.HTTPConnection:
    """Return a connection to the address that the settings in the environment have for the service."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    if path := variables.get("LSTM_SERVE_SOCKET"):
        return UnixConnection(path, SECONDS)
    host = variables.get("LSTM_SERVE_HOST", "").strip("[]")
    port = variables.get("LSTM_SERVE_PORT", "")
    local = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    # Kubernetes may have set the port to an address; the service then listens on its default.
    return http.client.HTTPConnection(local.get(host, host), int(port) if port.isdigit() else 8000, timeout=SECONDS)


def main() -> None:
    """Print what `/readyz` answers.

    Raises:
        SystemExit: with status 1, the service is not ready or does not answer.
    """
    connection = connect()
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        sys.stdout.write(response.read().decode())
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"no answer: {error!r}")
    finally:
        connection.close()
    sys.exit(response.status != http.HTTPStatus.OK)


if __name__ == "__main__":
    main()
