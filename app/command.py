"""The command line of the service: every setting is an option, and without a subcommand it serves.

Its process supervises the workers, so it imports neither FastAPI nor engines, a subcommand only to run it, and the
service only to serve. The options are click's, which uvicorn needs anyway; Typer would add 15 MB to the image.
"""

import os
import sys
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import click
from pydantic_core import PydanticUndefined

from app import __version__
from app.errors import SettingsError
from app.settings import PREFIX, Settings, read_settings

# The modules of the subcommands; each has a function `make_command`.
SUBCOMMANDS = {"keys": "app.operate_keys", "models": "app.operate_models", "score": "app.scoring.command"}


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
        "what answers, or score a file.",
    )
    return version(command)


@click.pass_context
def _begin(context: click.Context, /, **options: str | None) -> None:
    """Read the settings, for a subcommand or to serve."""
    _open_standard_files()
    context.obj = read_settings({name: value for name, value in options.items() if value is not None})
    if context.invoked_subcommand is None:
        from app.processes.service import serve

        serve(context.obj)


def _open_standard_files() -> None:
    """Open closed standard files: otherwise a socket gets their number, and the log is written to it."""
    lowest = 0
    while lowest <= 2:
        lowest = os.open(os.devnull, os.O_RDWR)
    os.close(lowest)


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
