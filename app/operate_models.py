"""`python -m app models`: what an operator does with the versions of a model, while the service runs or not.

Each command changes the file `policy.json` of a model, which every process of the service follows within a second.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from pydantic import TypeAdapter, ValidationError

from app.errors import EngineError, PolicyError
from app.runtime.changes import Changes
from app.runtime.policy import STABLE, Label, Policy
from app.settings import Settings
from bundle.errors import BundleError
from bundle.store import Store


class _LabelType(click.ParamType[str]):
    """A label, as a policy can have it."""

    name = "label"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the label, or fail with what a label is."""
        try:
            return TypeAdapter[str](Label).validate_python(value)
        except ValidationError:
            self.fail(f"{value!r} is no label; use a-z, 0-9 and '-', and begin with a letter", param, ctx)


NAME = click.argument("name")
VERSION = click.argument("version", type=click.IntRange(min=1))
LABEL = click.argument("label", type=_LabelType())


@click.group(help="Show and change which versions of the models answer, in the folder of --models.")
@click.pass_context
def models(context: click.Context) -> None:
    """Find the policies that the commands below change."""
    settings: Settings = context.obj
    if not settings.models.is_dir():
        sys.exit(f"error: there is no folder {settings.models}; name the folder of the bundles with --models")
    context.obj = Changes(Store(settings.models), settings)


def make_command() -> click.Command:
    """Return the group of the commands."""
    return models


@models.command("list")
@click.pass_obj
def list_models(changes: Changes) -> None:
    """List the models with their versions, labels and shadow shares, one JSON object a line.

    With a problem, the line says which, and the exit status is 1.
    """
    with _clear_errors():
        names = changes.list_names()
    has_failed = False
    for name in names:
        line: dict[str, object] = {"name": name}
        try:
            line |= {"versions": changes.list_versions(name), **changes.read(name).model_dump()}
            if misnamed := changes.describe_misnamed(name):
                line["problem"] = misnamed
        except PolicyError as error:
            line["problem"] = str(error)
        has_failed |= "problem" in line
        click.echo(json.dumps(line))
    if has_failed:
        sys.exit(1)


@models.command()
@NAME
@VERSION
@click.pass_obj
def pin(changes: Changes, name: str, version: int) -> None:
    """Make a version the one that answers, whatever newer ones there are; so this also rolls back."""
    _change(lambda: changes.set_label(name, STABLE, version))


@models.command()
@NAME
@click.pass_obj
def unpin(changes: Changes, name: str) -> None:
    """Let the newest version answer again."""
    _change(lambda: changes.remove_label(name, STABLE))


@models.command()
@NAME
@LABEL
@VERSION
@click.pass_obj
def label(changes: Changes, name: str, label: str, version: int) -> None:
    """Give a version a label, by which requests can name it; "candidate" is the version for shadow requests."""
    _change(lambda: changes.set_label(name, label, version))


@models.command()
@NAME
@LABEL
@click.pass_obj
def unlabel(changes: Changes, name: str, label: str) -> None:
    """Remove a label."""
    _change(lambda: changes.remove_label(name, label))


@models.command()
@NAME
@click.argument("share", type=click.FloatRange(0, 1))
@click.pass_obj
def shadow(changes: Changes, name: str, share: float) -> None:
    """Let the candidate answer a share of the requests too, 0 to 1; clients never see its answers."""
    _change(lambda: changes.set_shadow_share(name, share))


@models.command()
@NAME
@click.pass_obj
def load(changes: Changes, name: str) -> None:
    """Serve a model that was unloaded."""
    _change(lambda: changes.set_loaded(name, is_loaded=True))


@models.command()
@NAME
@click.pass_obj
def unload(changes: Changes, name: str) -> None:
    """Stop serving a model, until it is loaded again."""
    _change(lambda: changes.set_loaded(name, is_loaded=False))


def _change(change: Callable[[], Policy]) -> None:
    with _clear_errors():
        policy = change()
        click.echo(policy.model_dump_json())


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Print an error that a user can act on, without a traceback.

    Raises:
        SystemExit: there was one.
    """
    try:
        yield
    except (BundleError, EngineError, PolicyError) as error:
        sys.exit(f"error: {error}")
