"""The command line: `python -m training list | train RECIPE | evaluate BUNDLE`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bundle.errors import BundleError
from bundle.manifest import check_name
from bundle.store import Store, open_bundle
from training import recipes
from training.errors import TrainingError

DataOption = Annotated[
    Path | None,
    typer.Option(help="The IMDB archive, or the folder unpacked from it.  [default: downloaded to the user's cache]"),
]
ModelsOption = Annotated[Path, typer.Option(help="The folder of the bundles.")]

application = typer.Typer(
    help="Train the models that the service answers with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


@application.command("list")
def list_recipes(models: ModelsOption = Path("models")) -> None:
    """List the recipes, with the accuracy their source gives and that of the latest bundle here."""
    table = Table(box=SIMPLE)
    for column in ("recipe", "published", "here"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it learns, and where it comes from")
    store = Store(models)
    with _clear_errors():
        for recipe in recipes.RECIPES.values():
            published = recipe.published.get("accuracy")
            here = store.open(recipe.name).manifest.metrics["accuracy"] if store.versions(recipe.name) else None
            table.add_row(
                recipe.name, _percent(published), _percent(here), f"{recipe.task}: {recipe.summary} ({recipe.source})"
            )
    console.print(table)


@application.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name that `list` shows.")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; repeatable.")
    ] = None,
    data: DataOption = None,
    models: ModelsOption = Path("models"),
    name: Annotated[str | None, typer.Option(help="The bundle's name.  [default: the recipe's]")] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=SEED.")] = None,
) -> None:
    """Train a recipe and publish the model as the next version of its bundle."""
    with _clear_errors("; nothing was published"):
        seeds = [] if seed is None else [f"seed={seed}"]
        chosen = recipes.find(recipe).with_settings([*(assignments or []), *seeds])
        published_as = check_name(recipe if name is None else name)
        bundle = _pipeline().train(chosen, published_as, Store(models), data, console)
    _print_metrics(bundle.manifest.metrics)
    console.print(f"Published {bundle.folder}", markup=False, highlight=False, soft_wrap=True)


@application.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/sentiment/1.")],
    data: DataOption = None,
) -> None:
    """Measure a bundle again and compare with its manifest; exit with 1 where a figure differs in four digits."""
    with _clear_errors():
        bundle = open_bundle(folder)
        evaluation, sha256 = _pipeline().evaluate_bundle(bundle, data, console)
    recorded = bundle.manifest.metrics
    _print_metrics(evaluation.metrics, recorded)
    console.print(f"{len(evaluation.labels):,} examples")
    if sha256 != bundle.manifest.dataset.sha256:
        console.print("These are not the data of the manifest, so the figures may differ from it.")
    elif _format(evaluation.metrics) != _format(recorded):
        console.print("The same data give other figures than the manifest records.", style="red")
        raise typer.Exit(1)
    else:
        console.print("The figures are those of the manifest.")


def _pipeline() -> ModuleType:
    """Import TensorFlow, which takes seconds, only once the command is known to make sense."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's Keras is set to
    from training import pipeline

    return pipeline


def _print_metrics(found: dict[str, float], recorded: dict[str, float] | None = None) -> None:
    table = Table("metric", "measured", *([] if recorded is None else ["manifest"]))
    for name, value in _format(found).items():
        table.add_row(name, value, *([] if recorded is None else [_format(recorded).get(name, "-")]))
    console.print(table)


def _format(metrics: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in metrics.items()}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


@contextmanager
def _clear_errors(consequence: str = "") -> Iterator[None]:
    """Turn what can go wrong in use into one sentence and exit status 1, an interruption into 130."""
    try:
        yield
    except (TrainingError, BundleError) as error:
        _complain(f"error: {error}")
        raise typer.Exit(1) from error
    except OSError as error:
        _complain(f"error: {error}{consequence}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _complain(f"stopped{consequence}")
        # Not by an exception: the threads of TensorFlow are in the middle of a step, and the interpreter that is
        # taken down under them sometimes crashes.
        os._exit(130)


def _complain(message: str) -> None:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    application()
