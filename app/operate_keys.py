"""`python -m app keys`: the commands for API keys. A running service reads the changed file by itself."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import get_args

import click

from app.access.keys import Client, Scope, add_client, read_clients, revoke_keys, rotate_key
from app.errors import SettingsError
from app.settings import PREFIX, Settings

_NAME = click.Argument(["name"])


def make_command() -> click.Command:
    """Return the group of the commands."""
    return click.Group(
        "keys",
        [
            click.Command(
                "list", callback=list_keys, help="List the clients, what they may do, and their keys' dates."
            ),
            click.Command(
                "add",
                callback=add,
                params=[
                    _NAME,
                    click.Option(
                        ["--scope", "scopes"],
                        type=click.Choice(get_args(Scope)),
                        multiple=True,
                        default=["predict"],
                        show_default=True,
                        help="What the client may do; repeatable.",
                    ),
                    click.Option(["--requests-per-second"], type=float, help="By default without limit."),
                    click.Option(["--burst"], type=int, help="Requests at once; by default those of one second."),
                    click.Option(["--texts-per-day"], type=int, help="By default without limit; a day is one of UTC."),
                ],
                help="Add a client, and print its key: it is not stored, so this is the only time.",
            ),
            click.Command(
                "rotate",
                callback=rotate,
                params=[_NAME],
                help="Print a new key of a client. The old keys stay valid until: keys revoke NAME --old.",
            ),
            click.Command(
                "revoke",
                callback=revoke,
                params=[_NAME, click.Option(["--old"], is_flag=True, help="Only the keys before the newest one.")],
                help="Remove a client and its keys.",
            ),
        ],
        help="Make and remove API keys, in the file of --keys.",
    )


@click.pass_obj
def list_keys(settings: Settings) -> None:
    """Print the clients."""
    for client in read_clients(_find_file(settings)):
        _print(_describe(client))


@click.pass_obj
def add(
    settings: Settings,
    name: str,
    scopes: tuple[Scope, ...],
    requests_per_second: float | None,
    burst: int | None,
    texts_per_day: int | None,
) -> None:
    """Add a client and print its key."""
    add_client(_find_file(settings), name, scopes, requests_per_second, burst, texts_per_day, show=_print)


@click.pass_obj
def rotate(settings: Settings, name: str) -> None:
    """Print a new key of a client."""
    rotate_key(_find_file(settings), name, show=_print)


@click.pass_obj
def revoke(settings: Settings, name: str, old: bool) -> None:
    """Remove a client, or its old keys."""
    revoke_keys(_find_file(settings), name, only_old=old)


def _print(text: str) -> None:
    """Print a line at once.

    Raises:
        SettingsError: nobody can read it.
    """
    try:
        click.echo(text)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again when it ends
        raise SettingsError(f"standard output cannot be written: {error.strerror}; the keys are as before") from error


def _find_file(settings: Settings) -> Path:
    """Return the key file.

    Raises:
        SettingsError: the settings name none.
    """
    if isinstance(settings.keys, Path):
        return settings.keys
    found = "the setting has keys and no key file" if settings.keys else "there is no key file"
    raise SettingsError(f"{found}; name one: python -m app --keys FILE keys, or {PREFIX}KEYS=FILE")


def _describe(client: Client) -> str:
    """Return one line about a client."""
    limits = {
        "requests_per_second": client.requests_per_second,
        "burst": client.burst,
        "texts_per_day": client.texts_per_day,
    }
    columns = [client.name, f"scopes={','.join(client.scopes)}"]
    columns += [f"{name}={limit:g}" for name, limit in limits.items() if limit]
    columns.append(f"keys={','.join(_show_date(key.created) for key in client.keys)}")
    return "  ".join(columns)


def _show_date(time: datetime) -> str:
    return time.date().isoformat()
