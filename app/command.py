"""The command line of the service: every setting is an option.

Its process supervises the workers, so it imports neither FastAPI nor engines. The options are click's, which uvicorn
needs anyway; Typer would add 15 MB to the image.
"""

import logging
import math
import os
import resource
import sys
from functools import partial
from typing import Literal, get_args, get_origin

import click
import uvicorn
from pydantic_core import PydanticUndefined

from app import __version__
from app.errors import SettingsError
from app.processes.sockets import Address, hold
from app.processes.supervisor import Supervisor
from app.processes.worker import make_app, run
from app.settings import PREFIX, Settings, read_settings
from app.telemetry import logs
from app.telemetry.sharing import hold_folder

# A process that was asked to stop is killed this long after the deadline of its last request.
MORE_SECONDS = 5

logger = logging.getLogger("app")


def make_command() -> click.Command:
    """Return the command, which serves until a signal ends it."""
    version = click.version_option(__version__, prog_name="lstm-serve")
    command = click.Command(
        "app",
        params=[_make_option(name) for name in Settings.model_fields],
        callback=serve,
        help=f"Serve the models of a folder over HTTP. Every option is also an environment variable: --log-level is "
        f"{PREFIX}LOG_LEVEL. An option overrides its variable.",
    )
    return version(command)


def serve(**options: str | None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have begun.

    Raises:
        SystemExit: the service cannot run with these settings, or it has ended.
    """
    _open_standard_files()
    try:
        settings = read_settings({name: value for name, value in options.items() if value is not None})
        logs.configure(settings.log_level)
        with hold(settings) as address, hold_folder():
            status = _serve_on(address, settings)
    except SettingsError as error:
        sys.exit(f"error: {error}")
    sys.exit(status)


def _open_standard_files() -> None:
    """Open closed standard files: otherwise a socket gets their number, and the log is written to it."""
    lowest = 0
    while lowest <= 2:
        lowest = os.open(os.devnull, os.O_RDWR)
    os.close(lowest)


def _serve_on(address: Address, settings: Settings) -> int:
    """Serve on an address, and return the exit status."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection needs a file descriptor
    logger.info("starting", extra={"address": str(address), "workers": settings.workers})
    longest = math.ceil(settings.deadline_ms / 1000) + 1
    config = uvicorn.Config(
        partial(make_app, settings),
        factory=True,
        http="app.http.protocol:Protocol",
        ws="none",
        workers=settings.workers,  # otherwise uvicorn reads WEB_CONCURRENCY
        log_config=None,
        proxy_headers=False,
        root_path=settings.root_path,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=longest,  # every request has its answer by then
    )
    grace_seconds = longest + MORE_SECONDS
    return Supervisor(partial(run, config, grace_seconds), address.open, settings.workers, grace_seconds).run()


def _make_option(name: str) -> click.Option:
    """Return the option of a setting."""
    field = Settings.model_fields[name]
    has_default = field.default not in (PydanticUndefined, None, "", ())
    if get_origin(field.annotation) is Literal:
        expected = "|".join(get_args(field.annotation))
    else:
        expected = "NUMBER" if field.annotation is int else "TEXT"
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        metavar=expected,
        help=f"{field.description}{f'  [default: {field.default}]' if has_default else ''}",
    )
