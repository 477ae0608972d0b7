"""`python -m app.healthcheck`: ask the service in this container whether it is ready.

Imports nothing that takes long: Docker runs it every few seconds.
"""

import http.client
import os
import sys

SECONDS = 4


def main() -> None:
    """Print what `/readyz` answers.

    Raises:
        SystemExit: with status 1, the service is not ready or does not answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("LSTM_SERVE_PORT", "8000")), SECONDS)
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
