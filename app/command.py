"""The command line of the service: every setting is an option, and without a subcommand it serves.

Its process supervises the workers, so it imports neither FastAPI nor engines, and a subcommand only to run it. The
options are click's, which uvicorn needs anyway; Typer would add 15 MB to the image.
"""

import logging
import math
import os
import resource
import sys
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import click
import uvicorn
from pydantic_core import PydanticUndefined

from app import __version__
from app.access.guard import Guard
from app.access.usage import Usage, share_usage
from app.errors import SettingsError
from app.processes.sockets import Address, hold
from app.processes.supervisor import Supervisor
from app.processes.worker import make_app, run
from app.settings import PREFIX, Settings, read_settings
from app.telemetry import logs
from app.telemetry.sharing import hold_folder
from app.telemetry.traces import check_exporter

# A process that was asked to stop is killed this long after the deadline of its last request.
MORE_SECONDS = 5

# The modules of the subcommands; each has a function `make_command`.
SUBCOMMANDS = {"keys": "app.operate_keys", "models": "app.operate_models"}

logger = logging.getLogger("app")


class Commands(click.Group):
    """The command that serves, and its subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # of the base class
        """Return the names of the subcommands."""
        return sorted(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a subcommand; None if there is none of this name."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = import_module(SUBCOMMANDS[cmd_name]).make_command()
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            SystemExit: it cannot run with these settings.
        """
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            sys.exit(f"error: {error}")


def make_command() -> click.Command:
    """Return the command, which serves until a signal ends it unless there is a subcommand."""
    version = click.version_option(__version__, prog_name="lstm-serve")
    command = Commands(
        "app",
        params=[_make_option(name) for name in Settings.model_fields],
        callback=_begin,
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]",
        help=f"Serve the models of a folder over HTTP. Every option is also an environment variable: --log-level is "
        f"{PREFIX}LOG_LEVEL. An option overrides its variable. The commands below change who may ask, and "
        "what answers.",
    )
    return version(command)


@click.pass_context
def _begin(context: click.Context, /, **options: str | None) -> None:
    """Read the settings, for a subcommand or to serve."""
    _open_standard_files()
    context.obj = read_settings({name: value for name, value in options.items() if value is not None})
    if context.invoked_subcommand is None:
        serve(context.obj)


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


def _open_standard_files() -> None:
    """Open closed standard files: otherwise a socket gets their number, and the log is written to it."""
    lowest = 0
    while lowest <= 2:
        lowest = os.open(os.devnull, os.O_RDWR)
    os.close(lowest)


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


def _make_option(name: str) -> click.Option:
    """Return the option of a setting."""
    field = Settings.model_fields[name]
    has_default = field.default not in (PydanticUndefined, None, "", ())
    if get_origin(field.annotation) is Literal:
        expected = "|".join(get_args(field.annotation))
    else:
        expected = {int: "NUMBER", float: "NUMBER", bool: "true|false"}.get(field.annotation, "TEXT")  # type: ignore[arg-type]
    default = str(field.default).lower() if field.annotation is bool else field.default
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        metavar=expected,
        help=f"{field.description}{f'  [default: {default}]' if has_default else ''}",
    )
