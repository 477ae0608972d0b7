"""`python -m app`: the service, with the settings of the environment."""

import signal
import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

from app import logs
from app.errors import SettingsError
from app.server import Protocol, bind
from app.settings import read_settings


def main() -> None:
    """Serve until the process is told to end, and answer what was begun.

    Raises:
        SystemExit: the service cannot run with these settings.
    """
    try:
        settings = read_settings()
        logs.configure(settings.log_level)
        bound = bind(settings.host, settings.port)
    except SettingsError as error:
        sys.exit(f"error: {error}")
    config = uvicorn.Config(
        "app.main:create_app", factory=True, http=Protocol, workers=settings.workers, log_config=None
    )
    with bound:
        if settings.workers > 1:
            Multiprocess(config, [bound]).run()
        else:
            for ending in (signal.SIGINT, signal.SIGTERM):
                signal.signal(ending, lambda *_: None)  # uvicorn sends it once more, when all is answered
            uvicorn.Server(config).run([bound])


if __name__ == "__main__":
    main()
