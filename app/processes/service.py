"""The service: its socket, its keys, and the supervisor of its workers."""

import logging
import math
import resource
import sys
from contextlib import ExitStack
from functools import partial

import uvicorn

from app.access.guard import Guard
from app.access.usage import Usage, share_usage
from app.processes.sockets import Address, hold
from app.processes.supervisor import Supervisor
from app.processes.worker import make_app, run
from app.settings import Settings
from app.telemetry import logs
from app.telemetry.sharing import hold_folder
from app.telemetry.traces import check_exporter

# A process that was asked to stop is killed this long after the deadline of its last request.
MORE_SECONDS = 5

logger = logging.getLogger("app")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have begun.

    Raises:
        SettingsError: the service cannot run with these settings.
        SystemExit: it has ended.
    """
    logs.configure(settings.log_level)
    guard = None
    with ExitStack() as held:
        if settings.keys:
            guard = Guard(settings.keys, Usage(held.enter_context(share_usage())))
        if settings.traces:
            check_exporter()
        address = held.enter_context(hold(settings))
        held.enter_context(hold_folder())
        status = _serve_on(address, settings, guard)
    sys.exit(status)


def _serve_on(address: Address, settings: Settings, guard: Guard | None) -> int:
    """Serve on an address, and return the exit status."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection needs a file descriptor
    logger.info("starting", extra={"address": str(address), "workers": settings.workers})
    longest = math.ceil(settings.deadline_ms / 1000) + 1
    config = uvicorn.Config(
        partial(make_app, settings, guard),
        factory=True,
        http="app.http.protocol:Protocol",
        ws="none",
        workers=settings.workers,  # otherwise uvicorn reads WEB_CONCURRENCY
        log_config=None,
        proxy_headers=False,
        server_header=False,
        headers=[("x-content-type-options", "nosniff")],  # of every answer, also to bytes that are no request
        root_path=settings.root_path,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=longest,  # every request has its answer by then
    )
    grace_seconds = longest + MORE_SECONDS
    target = partial(run, config, grace_seconds)
    look = guard.look if guard else None
    return Supervisor(target, address.open, settings.workers, grace_seconds, look).run()
