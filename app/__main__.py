"""`python -m app`: the service, with the settings of the environment."""

import signal
import sys

# A process that was asked to stop is killed this long after its longest request may have ended.
MORE_SECONDS = 5


def main() -> None:
    """Serve until the process is told to end, and answer what was begun.

    Raises:
        SystemExit: the service cannot run with these settings, or was told to end before it began.
    """
    # The first process of a container ends by no signal that it does not handle, and the imports take a second.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: sys.exit())
    import logging
    import math
    import resource
    from functools import partial

    import uvicorn

    from app import logs
    from app.errors import SettingsError
    from app.server import Protocol, bind
    from app.settings import read_settings
    from app.supervisor import Supervisor
    from app.worker import Server, run

    try:
        settings = read_settings()
        logs.configure(settings.log_level)
        bound = bind(settings.host, settings.port)
    except SettingsError as error:
        sys.exit(f"error: {error}")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection is an open file
    host, port, *_ = bound.getsockname()
    logging.getLogger("app").info("starting", extra={"host": host, "port": port, "workers": settings.workers})
    longest = math.ceil(settings.deadline_ms / 1000) + 1
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        http=Protocol,
        ws="none",
        workers=settings.workers,
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=longest,  # all is answered by then
    )
    with bound:
        if settings.workers == 1:
            Server(config).run([bound])  # which sends the signal once more, when all is answered
        else:
            grace_seconds = longest + MORE_SECONDS
            sys.exit(Supervisor(partial(run, config, bound, grace_seconds), settings.workers, grace_seconds).run())


if __name__ == "__main__":
    main()
